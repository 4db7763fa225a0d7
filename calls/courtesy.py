"""Work for which nobody waits takes turns in a process: audio of PBXs' sockets, announcements.

Two at once, each with its server process of PostgreSQL, hold up the packets whose senders wait for
an answer. It is a courtesy, no lock that anything relies on: who is kept waiting, by a row that
somebody holds, say, goes on all the same.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 0.05  # seconds

_turn = threading.Lock()


@contextmanager
def turn() -> Iterator[None]:
    taken = _turn.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if taken:
            _turn.release()
