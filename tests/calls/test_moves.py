"""Which moves pass and which are refused, in Python and in the database."""

from datetime import timedelta
from itertools import product

import pytest
from django.db import IntegrityError, connection, transaction

from calls.models import Call, Move
from calls.moves import move
from calls.states import MOVES, EndReason, IllegalMove, Outcome, State
from tests.factories import NOW, fresh_id

pytestmark = pytest.mark.django_db

PAIRS = list(product(State, State))
LEGAL = [(a, b) for a, b in PAIRS if b in MOVES[a]]
ILLEGAL = [(a, b) for a, b in PAIRS if b not in MOVES[a] and a != b]
WAY_TO = {
    State.IN_PROGRESS: (),
    State.COMPLETED: (State.COMPLETED,),
    State.FAILED: (State.FAILED,),
    State.PROCESSING_AI: (State.COMPLETED, State.PROCESSING_AI),
    State.ARCHIVED: (State.COMPLETED, State.ARCHIVED),
}


def call_in(state: State) -> Call:
    call = Call.objects.create(call_id=fresh_id(), created_at=NOW, updated_at=NOW)
    for step in WAY_TO[state]:
        go(call, step)
    return call


def go(call: Call, state: State) -> None:
    facts: dict[str, object] = {"ended_at": NOW, "end_reason": EndReason.HANGUP}
    if state == State.PROCESSING_AI:
        facts["ai_outcome"] = Outcome.PENDING
    elif state != State.IN_PROGRESS:
        facts |= {"ai_outcome": Outcome.NO_AUDIO, "processed_at": NOW}
    move(call, state, now=NOW, actor="test", reason="because", **facts)


def by_raw_sql(call: Call, state: State) -> None:
    outcome = Outcome.PENDING if state == State.PROCESSING_AI else Outcome.NO_AUDIO
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE calls_call SET state = %s, ai_outcome = %s, processed_at = now(),"
            " ended_at = CASE WHEN %s = 'IN_PROGRESS' THEN NULL ELSE now() END,"
            " end_reason = CASE WHEN %s = 'IN_PROGRESS' THEN '' ELSE 'hangup' END WHERE id = %s",
            [state, outcome, state, state, call.pk],
        )


def test_the_table_is_the_contract() -> None:
    assert {f"{a} {b}" for a, b in LEGAL} == {
        "IN_PROGRESS COMPLETED",
        "IN_PROGRESS FAILED",
        "COMPLETED PROCESSING_AI",
        "COMPLETED ARCHIVED",
        "PROCESSING_AI COMPLETED",
        "PROCESSING_AI FAILED",
        "FAILED PROCESSING_AI",
        "FAILED ARCHIVED",
    }


@pytest.mark.parametrize(("origin", "target"), LEGAL)
def test_a_legal_move_passes_and_is_journaled(origin: State, target: State) -> None:
    call = call_in(origin)
    version = call.version
    go(call, target)
    call.refresh_from_db()
    assert (call.state, call.version) == (target, version + 1)
    row = Move.objects.filter(call=call).latest("pk")
    assert (row.from_state, row.to_state, row.at) == (origin, target, NOW)
    assert (row.actor, row.reason) == ("test", "because")


@pytest.mark.parametrize(("origin", "target"), [*ILLEGAL, *((s, s) for s in State)])
def test_an_illegal_move_is_refused_in_python(origin: State, target: State) -> None:
    call = call_in(origin)
    with pytest.raises(IllegalMove, match=f"from {origin} to {target}"):
        go(call, target)
    call.refresh_from_db()
    assert call.state == origin


@pytest.mark.parametrize(("origin", "target"), LEGAL)
def test_a_legal_move_passes_by_raw_sql(origin: State, target: State) -> None:
    call = call_in(origin)
    by_raw_sql(call, target)
    call.refresh_from_db()
    assert call.state == target


@pytest.mark.parametrize(("origin", "target"), ILLEGAL)
def test_an_illegal_move_is_refused_by_the_database(origin: State, target: State) -> None:
    call = call_in(origin)
    with pytest.raises(IntegrityError, match=f"cannot move from {origin} to {target}"):
        by_raw_sql(call, target)
    call.refresh_from_db()
    assert call.state == origin


@pytest.mark.parametrize("state", [s for s in State if s != State.IN_PROGRESS])
def test_a_row_that_starts_elsewhere_is_refused_by_the_database(state: State) -> None:
    with pytest.raises(IntegrityError, match=f"cannot start as {state}"):
        Call.objects.create(
            call_id=fresh_id(),
            created_at=NOW,
            updated_at=NOW,
            state=state,
            ended_at=NOW,
            end_reason=EndReason.HANGUP,
        )


@pytest.mark.parametrize(
    "column",
    ["state = 'LOST'", "ai_outcome = 'maybe'", "end_reason = 'bored'", "ended_at = now()"],
)
def test_what_no_call_can_be_is_refused_by_the_database(column: str) -> None:
    call = call_in(State.IN_PROGRESS)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE calls_call SET {column} WHERE id = %s", [call.pk])


def test_a_result_must_stand_behind_transcribed() -> None:
    call = call_in(State.PROCESSING_AI)
    with pytest.raises(IntegrityError, match="call_result_with_outcome"), transaction.atomic():
        move(
            call,
            State.COMPLETED,
            now=NOW + timedelta(seconds=1),
            actor="test",
            reason="",
            ai_outcome=Outcome.TRANSCRIBED,
            processed_at=NOW,
        )
