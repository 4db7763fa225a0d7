"""Where runs come from: the end of a call, late packets, a person's wish, a failure."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from calls import dispatch
from calls.models import Call, Job
from calls.models.job import Origin, Priority
from calls.moves import change
from calls.states import RUNNABLE, Outcome, State

MAX_FURTHER_RUNS = 3


class RunRefused(Exception):
    """A run that cannot be started; says why, to the person who asked."""


def queue_first_run(call: Call, *, now: datetime, actor: str) -> None:
    """The run of a locked call that just ended, in the transaction of its end."""
    _create(call, Origin.END, now=now, actor=actor, priority=Priority.FRESH)


def queue_run(call: Call, origin: Origin, *, now: datetime, actor: str) -> None:
    """A new run of a locked call: outcome pending, attempts from 1, nothing taken over."""
    _create(call, origin, now=now, actor=actor, priority=Priority.AGAIN)
    _show_as_queued(call, now=now)


def queue_further_run(call: Call, failed: Job, *, now: datetime) -> datetime | None:
    """After a transient failure: a run that goes on where this one failed; when, or None for never.

    The call stays FAILED until then, and its finished tracks are not asked again.
    """
    if failed.further_runs >= MAX_FURTHER_RUNS:
        return None
    at = now + timedelta(seconds=settings.RETRY_FAILED_EVERY)
    _create(
        call,
        Origin.RETRY,
        now=now,
        actor="system",
        priority=Priority.AGAIN,
        due_at=at,
        further_runs=failed.further_runs + 1,
        since_run=failed.since_run,
    )
    return at


def reprocess(call_id: str, *, now: datetime, actor: str) -> Call:
    """Queues a run because somebody asked; nothing new where one is queued already.

    Raises `Call.DoesNotExist`, and `RunRefused` where the state forbids it.
    """
    with transaction.atomic():
        call = Call.objects.locked().get(call_id=call_id)
        if call.state not in RUNNABLE:
            raise RunRefused(f"call {call_id} cannot be run again: {_why_not(call)}")
        waiting = Job.objects.open().filter(call=call).select_for_update().first()
        if waiting is None:
            queue_run(call, Origin.REPROCESS, now=now, actor=actor)
        elif call.ai_outcome != Outcome.PENDING:
            _bring_forward(call, waiting, now=now, actor=actor)
        return call


def _why_not(call: Call) -> str:
    if call.state == State.IN_PROGRESS:
        return "it has not ended yet"
    if call.state == State.PROCESSING_AI:
        return "its AI work is under way"
    return "it is archived"


def _bring_forward(call: Call, waiting: Job, *, now: datetime, actor: str) -> None:
    """A further run that waits for its time becomes the run that was asked for."""
    waiting.origin, waiting.actor = Origin.REPROCESS, actor[:200]
    waiting.due_at, waiting.further_runs, waiting.since_run = now, 0, waiting.run
    waiting.save(update_fields=["origin", "actor", "due_at", "further_runs", "since_run"])
    dispatch.wake(at=now)
    _show_as_queued(call, now=now)


def _show_as_queued(call: Call, *, now: datetime) -> None:
    change(
        call,
        now=now,
        ai_outcome=Outcome.PENDING,
        ai_words="",
        attempts=0,
        next_attempt_at=now,
        last_error="",
    )


def _create(
    call: Call,
    origin: Origin,
    *,
    now: datetime,
    actor: str,
    priority: int,
    due_at: datetime | None = None,
    further_runs: int = 0,
    since_run: int | None = None,
) -> None:
    run = call.run + 1
    Job.objects.create(
        call=call,
        run=run,
        origin=origin,
        actor=actor[:200],
        priority=priority,
        further_runs=further_runs,
        since_run=since_run or run,
        created_at=now,
        due_at=due_at or now,
    )
    dispatch.wake(at=due_at or now)
