"""The end of a call, by request or by idleness; its AI work is queued in the same commit."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from calls.ai.jobs import queue_first_run, queue_run
from calls.models import Call, Job, Stream
from calls.models.job import Origin
from calls.moves import move
from calls.states import EndReason, Outcome, State

BATCH = 100  # calls a transaction


def end(call_id: str, *, reason: EndReason, words: str, now: datetime, actor: str) -> Call:
    """Ends a call; one that has ended already is returned as it is.

    Raises `Call.DoesNotExist`.
    """
    with transaction.atomic():
        call = Call.objects.locked().get(call_id=call_id)
        if call.state == State.IN_PROGRESS:
            end_locked(call, reason=reason, words=words, now=now, actor=actor)
        return call


def end_silent_calls(*, now: datetime) -> int:
    """Ends the calls that have been without a packet for `CALL_IDLE_TIMEOUT`; how many."""
    moment = now - timedelta(seconds=settings.CALL_IDLE_TIMEOUT)
    words = f"no packet for {settings.CALL_IDLE_TIMEOUT:g} s"
    ended = 0
    while True:
        with transaction.atomic():
            calls = list(Call.objects.silent_since(moment).lockable()[:BATCH])
            cut_off = Stream.objects.cut_off(calls, now=now)
            for call in calls:
                if call.pk in cut_off:
                    reason, why = EndReason.CONNECTION_LOST, f"connection lost, {words}"
                else:
                    reason, why = EndReason.IDLE_TIMEOUT, words
                end_locked(call, reason=reason, words=why, now=now, actor="system")
        ended += len(calls)
        if len(calls) < BATCH:
            return ended


def queue_runs_for_late_packets(*, now: datetime) -> int:
    """New runs for late packets that came after an end by idleness (hold, mute); how many."""
    quiet_since = now - timedelta(seconds=settings.CALL_IDLE_TIMEOUT)
    with transaction.atomic():
        waiting = Call.objects.with_unread_packets(quiet_since=quiet_since).exclude(
            Exists(Job.objects.open().filter(call=OuterRef("pk")))
        )
        calls = list(waiting.lockable()[:BATCH])
        for call in calls:
            queue_run(call, Origin.LATE_PACKETS, now=now, actor="system")
    return len(calls)


def end_locked(call: Call, *, reason: EndReason, words: str, now: datetime, actor: str) -> None:
    """Ends a locked call in progress."""
    if not call.packet_count:
        _end_empty(call, reason=reason, words=words, now=now, actor=actor)
        return
    move(
        call,
        State.COMPLETED,
        now=now,
        actor=actor,
        reason=words,
        ended_at=now,
        end_reason=reason,
        next_attempt_at=now,
    )
    queue_first_run(call, now=now, actor=actor)


def _end_empty(call: Call, *, reason: EndReason, words: str, now: datetime, actor: str) -> None:
    """A call without one packet has nothing that the AI could be asked about."""
    move(
        call,
        State.FAILED,
        now=now,
        actor=actor,
        reason=f"{words}; not one packet came",
        ended_at=now,
        end_reason=reason,
        ai_outcome=Outcome.NO_AUDIO,
        ai_words="The call ended before its first packet.",
        processed_at=now,
    )
