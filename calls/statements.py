"""SQL of our own for what runs many times a second: compiling a query anew each time, and writing
every value into its text, takes longer than PostgreSQL does.

Statements are planned seldom where the session is ours: planning is a fifth of the time that a
batch takes. A pooler in transaction mode (PgBouncer) lends a session for one transaction: what was
prepared in it is gone in the next one, or stands for somebody else's statement.
"""

import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection
from psycopg import Connection, Cursor

# A plan made while a table was small reads all of it, however large it is by now, and lives until
# somebody analyzes the table, which takes minutes to come.
PLANS_KEPT = 10.0  # seconds

_planned_at: WeakKeyDictionary[Connection[Any], float] = WeakKeyDictionary()


def execute(statement: str, values: Sequence[Any]) -> Cursor[Any]:
    """Runs a statement on Django's connection; `%b` takes an array in PostgreSQL's binary form."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        allow_preparing(connection.connection)
        renew_plans(connection.connection, now=time.monotonic())
        cursor = Cursor(connection.connection)
        cursor.execute(statement, values, prepare=True)
    return cursor


def allow_preparing(session: Connection[Any]) -> None:
    """Asks once a connection: a pooler made up the number of the process that greeted us."""
    if session in _planned_at:
        return
    [(answering,)] = session.execute("SELECT pg_backend_pid()").fetchall()
    if answering == session.info.backend_pid:
        session.prepare_threshold = 0
    _planned_at[session] = time.monotonic()


def renew_plans(session: Connection[Any], *, now: float) -> None:
    if now - _planned_at[session] > PLANS_KEPT:
        session.execute("DISCARD PLANS", prepare=False)
        _planned_at[session] = now
