"""Calls that the AI service has dealt with, taken there through the real steps of a run."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from calls.ai import claims, recording, runs
from calls.ai.claims import Claim
from calls.ai.runs import Answered, Request, Standing
from calls.ai.transcription import RequestFailed, Segment
from calls.models import Attempt, Call
from calls.models.job import Verdict
from tests.factories import NOW, ended_call

Answer = RequestFailed | Sequence[Segment]
OVERLOADED = RequestFailed(Verdict.TRANSIENT, "the AI service answered 503", status=503)
REFUSED = RequestFailed(Verdict.CALL_FAULT, "the AI service refused the audio", status=422)
AWAKE = timedelta(days=1)


def said(*texts: str) -> list[Segment]:
    """One utterance every five seconds."""
    return [Segment(5.0 * n + 1, 5.0 * n + 3, text, 0.9) for n, text in enumerate(texts)]


def begin_run(call: Call, *, now: datetime = NOW) -> Claim:
    [claim] = [
        c for c in claims.claim_due(1000, worker="test", now=now + AWAKE) if c.call == call.pk
    ]
    runs.begin([claim], now=now)
    return claim


def start(claim: Claim, track: str, *, now: datetime = NOW) -> tuple[Standing, Attempt]:
    """A request that is under way."""
    [found] = recording.read([claim], now=now)
    number = found.tracks[track].number + 1
    [attempt] = runs.start([Request(claim, track, number, found.packets[track])], now=now)
    assert isinstance(attempt, Attempt)
    return Standing(claim, found.packets, found.tracks, found.seconds), attempt


def ask(claim: Claim, track: str, answer: Answer, *, now: datetime = NOW) -> None:
    """One request; after a transient failure the next comes in four seconds."""
    standing, attempt = start(claim, track, now=now)
    if isinstance(answer, RequestFailed):
        wait = 4.0 if answer.kind == Verdict.TRANSIENT else None
        answered = Answered(standing, attempt, failure=answer, wait=wait)
    else:
        answered = Answered(standing, attempt, [asdict(segment) for segment in answer])
    runs.close([answered], now=now + timedelta(seconds=1.5))


def conclude(claim: Claim, *, now: datetime = NOW) -> Call:
    [found] = recording.read([claim], now=now)
    standing = Standing(claim, found.packets, found.tracks, found.seconds)
    runs.conclude([standing], now=now + timedelta(seconds=2))
    return Call.objects.get(pk=claim.call)


def finish_run(call: Call, *answers: Answer, now: datetime = NOW) -> Call:
    """A run of a call with one track, from its first request to its outcome."""
    claim = begin_run(call, now=now)
    for answer in answers:
        ask(claim, "inbound", answer, now=now)
    return conclude(claim, now=now)


def transcribed_call(*texts: str, now: datetime = NOW) -> Call:
    return finish_run(ended_call(now=now), said(*(texts or ("thank you",))), now=now)
