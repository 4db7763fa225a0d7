"""Calls that the AI service has dealt with, taken there through the real steps of a run."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from calls.ai import claims, runs
from calls.ai.claims import Claim
from calls.ai.transcription import RequestFailed, Segment
from calls.models import Call
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
    runs.begin(claim, now=now)
    return claim


def ask(claim: Claim, track: str, answer: Answer, *, now: datetime = NOW) -> None:
    """One request; after a transient failure the next comes in four seconds."""
    packets = runs.read(claim).packets[track]
    attempt = runs.start_attempt(claim, track, packets=packets, now=now)
    now += timedelta(seconds=1.5)
    if isinstance(answer, RequestFailed):
        wait = 4.0 if answer.kind == Verdict.TRANSIENT else None
        runs.fail_attempt(claim, attempt, answer, wait=wait, now=now)
    else:
        runs.finish_attempt(claim, attempt, answer, now=now)


def conclude(claim: Claim, *, now: datetime = NOW) -> Call:
    runs.conclude(claim, runs.read(claim), now=now + timedelta(seconds=2))
    return Call.objects.get(pk=claim.call)


def finish_run(call: Call, *answers: Answer, now: datetime = NOW) -> Call:
    """A run of a call with one track, from its first request to its outcome."""
    claim = begin_run(call, now=now)
    for answer in answers:
        ask(claim, "inbound", answer, now=now)
    return conclude(claim, now=now)


def transcribed_call(*texts: str, now: datetime = NOW) -> Call:
    return finish_run(ended_call(now=now), said(*(texts or ("thank you",))), now=now)
