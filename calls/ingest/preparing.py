"""Statements are planned once a session where it is ours: a fifth of the time that a batch takes.

A pooler in transaction mode (PgBouncer) lends a session for one transaction: what was prepared in
it is gone in the next one, or stands for somebody else's statement.
"""

from typing import Any
from weakref import WeakSet

from psycopg import Connection

_asked: WeakSet[Connection[Any]] = WeakSet()


def allow(session: Connection[Any]) -> None:
    """Asks once a connection: a pooler made up the number of the process that greeted us."""
    if session in _asked:
        return
    [(answering,)] = session.execute("SELECT pg_backend_pid()").fetchall()
    if answering == session.info.backend_pid:
        session.prepare_threshold = 0
    _asked.add(session)
