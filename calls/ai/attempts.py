"""The ledger: one row a request, and what it says of each track."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from calls.ai.transcription import RequestFailed, Segment
from calls.models import Attempt, Job
from calls.models.job import Verdict


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one track of a run has come."""

    failures: int = 0
    answer: Attempt | None = None
    fault: Attempt | None = None
    next_try_at: datetime | None = None


def progress(job: Job, track: str, *, packets: int) -> Progress:
    """What the ledger says of a track that has `packets` packets now.

    A success that read fewer packets does not count: more came since.
    """
    rows = list(job.attempts.filter(track=track))
    successes = Attempt.objects.finished_tracks(job).filter(track=track, packets_read=packets)
    last = rows[-1] if rows else None
    stuck = last is not None and last.next_try_at is None
    hopeless = last is not None and last.kind in (Verdict.CALL_FAULT, Verdict.TRANSIENT)
    return Progress(
        failures=sum(row.kind == Verdict.TRANSIENT for row in rows),
        answer=successes.last(),
        fault=last if stuck and hopeless else None,
        next_try_at=last.next_try_at if last else None,
    )


def start(job: Job, track: str, *, packets: int, now: datetime) -> Attempt:
    """The next row of the track."""
    return Attempt.objects.create(
        job=job,
        track=track,
        number=job.attempts.filter(track=track).count() + 1,
        started_at=now,
        packets_read=packets,
    )


def succeed(attempt: Attempt, segments: Iterable[Segment], *, now: datetime) -> None:
    _close(
        attempt,
        now=now,
        kind=Verdict.SUCCESS,
        status=200,
        answer=[asdict(segment) for segment in segments],
    )


def fail(attempt: Attempt, failure: RequestFailed, *, wait: float | None, now: datetime) -> None:
    """Closes the row; `wait` is in seconds until the next try, None for no further one."""
    _close(
        attempt,
        now=now,
        kind=failure.kind,
        status=failure.status,
        words=failure.words[:500],
        next_try_at=None if wait is None else now + timedelta(seconds=wait),
    )


def abandon(job: Job, *, words: str, now: datetime) -> int:
    """Closes the rows that a dead or stopped worker left open; how many."""
    return job.attempts.open().update(
        kind=Verdict.ABANDONED, words=words, ended_at=now, next_try_at=now
    )


def _close(attempt: Attempt, *, now: datetime, **fields: object) -> None:
    fields |= {"ended_at": max(now, attempt.started_at)}
    for name, value in fields.items():
        setattr(attempt, name, value)
    attempt.save(update_fields=list(fields))
