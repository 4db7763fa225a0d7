"""The most memory that a process held, looked at from outside."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

LOOK_EVERY = 0.2  # seconds
MEGABYTE = 1024 * 1024


class Memory:
    most = 0.0
    """Megabytes, of all processes found together."""


@contextmanager
def memory_of(words: str) -> Iterator[Memory]:
    """Of our descendants whose command line contains `words`."""
    found, over = Memory(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY):
            found.most = max(found.most, _megabytes(words))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _megabytes(words: str) -> float:
    held = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if words in " ".join(process.cmdline()):
                held += process.memory_info().rss
    return held / MEGABYTE
