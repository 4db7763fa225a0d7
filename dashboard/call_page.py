"""The read model of a call's page: all that is known of one call, section by section."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from calls import stats
from calls.models import Attempt, Call, Job
from calls.records.recording import may_be_heard
from calls.records.transcript import SPEAKERS
from calls.states import ENDED_BY_SILENCE, RUNNABLE, Outcome, Sentiment, State, may_move
from dashboard import words
from dashboard.conversation import conversation
from dashboard.noted import noted
from dashboard.packet_strip import Strip
from dashboard.rights import Rights
from dashboard.shared import Shared

SECTIONS = (
    "summary",
    "actions",
    "player",
    "conversation",
    "transcript",
    "packets",
    "facts",
    "attempts",
    "history",
)
RANGES_SHOWN = 20
PACKETS_AGE = 3.0  # seconds; to find the gaps is to look at every packet

packets = Shared(size=64)


@dataclass(frozen=True, slots=True)
class Run:
    """A run with its requests, each with whether its next try is still to come."""

    job: Job
    attempts: Sequence[tuple[Attempt, bool]]

    @property
    def waits(self) -> bool:
        return self.job.finished_at is None and not self.attempts


def sections(call_id: str, rights: Rights, *, since: float) -> dict[str, SafeString]:
    """The markup of each section by the id of its element. Raises `Call.DoesNotExist`."""
    call = Call.objects.select_related("result").get(call_id=call_id)
    context = {
        "call": call,
        "about": _about(call),
        "rights": rights,
        "runs": _runs(call),
        "moves": list(call.moves.all()),
        **_packets(call, since=since),
        **_standing(call),
        **_said(call),
    }
    return {name: render_to_string(f"dashboard/_{name}.html", context) for name in SECTIONS}


def _standing(call: Call) -> dict[str, Any]:
    """Where the call stands, and what may be done with it."""
    settled = call.ai_outcome != Outcome.PENDING
    return {
        "in_progress": call.state == State.IN_PROGRESS,
        "settled": settled,
        "outcome": Outcome(call.ai_outcome),
        "ai_progress": words.ai_progress(call),
        "next_try_at": words.next_try_at(call),
        "service_away": "" if settled else stats.why_away(),
        "refusal": words.refusal(call),
        "may_reprocess": call.state in RUNNABLE,
        "may_archive": settled and may_move(call.state, State.ARCHIVED),
        "unread_late": call.unread_late and settled,
        "rerun_by_itself": call.end_reason in ENDED_BY_SILENCE,
    }


def _said(call: Call) -> dict[str, Any]:
    heard = {"may_be_heard": may_be_heard(call), "no_recording": words.no_recording(call)}
    if not call.has_ai_result:
        return heard | {"utterances": [], "no_transcript": words.no_transcript(call)}
    utterances = list(call.result.utterances.all())
    return heard | {
        "utterances": [(one, SPEAKERS[one.track]) for one in utterances],
        "conversation": conversation(utterances, length=call.result.seconds),
        "sentiment": Sentiment(call.result.sentiment),
        "no_transcript": words.no_transcript(call),
    }


def _about(call: Call) -> list[tuple[str, str]]:
    said = {
        "Agent": call.agent,
        "Queue": call.queue,
        "Caller": call.caller,
        "Callee": call.callee,
        "Direction": call.get_direction_display(),
        "Media": f"{call.get_encoding_display()}, {call.sample_rate} Hz, mono",
    }
    further = [noted(name, value) or (name, _plain(value)) for name, value in call.metadata.items()]
    return [(name, text) for name, text in [*said.items(), *further] if text]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _runs(call: Call) -> list[Run]:
    jobs = call.jobs.order_by("run").prefetch_related("attempts")
    return [Run(job, _with_pending(job)) for job in jobs]


def _with_pending(job: Job) -> list[tuple[Attempt, bool]]:
    attempts = list(job.attempts.all())
    last = {attempt.track: attempt.pk for attempt in attempts}
    still_open = job.finished_at is None
    return [(one, still_open and one.pk == last[one.track]) for one in attempts]


def _packets(call: Call, *, since: float) -> dict[str, Any]:
    """Which came, and the first ranges of those that did not."""

    def look() -> tuple[Strip | None, list[tuple[int, int]]]:
        return Strip.of(call), call.missing_ranges(limit=RANGES_SHOWN + 1)

    dear = call.missing or call.late or call.duplicates
    strip, missing = packets.get(call.pk, look, since=since - PACKETS_AGE) if dear else look()
    return {
        "strip": strip,
        "ranges": missing[:RANGES_SHOWN],
        "more_ranges": len(missing) > RANGES_SHOWN,
    }
