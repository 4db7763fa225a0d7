"""Steps of many calls are done together, and none harms another."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import pytest
from django.db import connection

from calls.ai.together import Together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def together() -> Iterator[Together]:
    started = Together(threads=1, name="test")
    yield started
    started.close()


def ask(together: Together, step: Callable[..., Sequence[object]], *items: object) -> list[object]:
    async def run() -> list[object]:
        asked = (together(step, item) for item in items)
        return list(await asyncio.gather(*asked, return_exceptions=True))

    return asyncio.run(run())


def test_what_waits_at_a_moment_is_done_at_once(together: Together) -> None:
    sizes: list[int] = []

    def step(items: Sequence[int], *, now: datetime) -> list[int]:
        sizes.append(len(items))
        return [item * 2 for item in items]

    assert ask(together, step, *range(250)) == [item * 2 for item in range(250)]
    assert len(sizes) < 50
    assert max(sizes) <= 100


def test_one_that_cannot_be_done_harms_no_other(together: Together) -> None:
    def step(items: Sequence[int], *, now: datetime) -> list[int]:
        return [1 // item for item in items]

    answers = ask(together, step, 1, 0, 1)
    assert (answers[0], answers[2]) == (1, 1)
    assert isinstance(answers[1], ZeroDivisionError)


def test_an_exception_among_the_results_is_for_its_item(together: Together) -> None:
    def step(items: Sequence[int], *, now: datetime) -> list[object]:
        return [ValueError("not this one") if item == 2 else item for item in items]

    answers = ask(together, step, 1, 2, 3)
    assert (answers[0], answers[2]) == (1, 3)
    assert isinstance(answers[1], ValueError)


def test_a_lost_connection_is_opened_again_and_the_step_tried_again(together: Together) -> None:
    def backend(items: Sequence[None], *, now: datetime) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return [cursor.fetchone()[0] for _ in items]

    [first] = ask(together, backend, None)
    assert isinstance(first, int)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [first])
    [second] = ask(together, backend, None)
    assert second != first
