"""Statements that a session plans seldom: `tests/concurrency/test_behind_pgbouncer.py` has those
of a pooler.
"""

import time

import pytest
from django.db import connection
from django.utils import timezone

from calls.ingest.store import create_calls
from calls.statements import PLANS_KEPT, execute, renew_plans

pytestmark = pytest.mark.django_db(transaction=True)

FIND = "SELECT id FROM calls_call WHERE call_id = ANY(%b::text[])"
CUSTOM_PLANS = 5  # PostgreSQL's; then it makes one for all values


def make_calls(count: int) -> None:
    create_calls({f"call-{number}" for number in range(count)}, now=timezone.now())


def find() -> int:
    return len(execute(FIND, [["call-1", "call-2"]]).fetchall())


def plan() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_prepared_statements WHERE statement = %s",
            [FIND.replace("%b", "$1")],
        )
        [(name,)] = cursor.fetchall()
        cursor.execute(f"EXPLAIN EXECUTE {name} ('{{call-1}}')")
        return "\n".join(line for (line,) in cursor.fetchall())


def test_a_plan_does_not_outlive_the_small_table_it_was_made_for() -> None:
    connection.close()
    make_calls(3)
    for _ in range(CUSTOM_PLANS + 1):
        assert find() == 2
    make_calls(5000)
    assert "Seq Scan" in plan()
    renew_plans(connection.connection, now=time.monotonic() + PLANS_KEPT)
    assert find() == 2
    assert "Index" in plan()
    assert "Seq Scan" not in plan()
