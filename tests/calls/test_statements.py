"""Statements that a session plans seldom: `tests/concurrency/test_behind_pgbouncer.py` has those
of a pooler.
"""

import time

import pytest
from django.db import connection

from calls.statements import PLANS_KEPT, execute, renew_plans

pytestmark = pytest.mark.django_db(transaction=True)

FIND = "SELECT name FROM names WHERE name = ANY(%b::text[])"
CUSTOM_PLANS = 5  # PostgreSQL's; then it makes one for all values


def grow_to(count: int) -> None:
    """A temporary table, which nobody else analyzes."""
    execute("CREATE TEMPORARY TABLE IF NOT EXISTS names (name text PRIMARY KEY)", [])
    numbers = [list(range(count))]
    execute("INSERT INTO names SELECT unnest(%b::int[])::text ON CONFLICT DO NOTHING", numbers)


def find() -> int:
    return len(execute(FIND, [["1", "2"]]).fetchall())


def plan() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_prepared_statements WHERE statement = %s",
            [FIND.replace("%b", "$1")],
        )
        [(name,)] = cursor.fetchall()
        cursor.execute(f"EXPLAIN EXECUTE {name} ('{{1}}')")
        return "\n".join(line for (line,) in cursor.fetchall())


def test_a_plan_does_not_outlive_the_small_table_it_was_made_for() -> None:
    connection.close()
    grow_to(3)
    execute("ANALYZE names", [])
    for _ in range(CUSTOM_PLANS + 1):
        assert find() == 2
    grow_to(50_000)
    assert "Seq Scan" in plan()
    renew_plans(connection.connection, now=time.monotonic() + PLANS_KEPT)
    assert find() == 2
    assert "Seq Scan" not in plan()
    connection.close()
