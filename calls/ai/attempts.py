"""The ledger: one row a request, and what it says of each track of a run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from calls.models import Attempt, Job
from calls.models.job import Verdict
from calls.states import Track

Answer = list[dict[str, object]]  # segments as they are stored


@dataclass(slots=True)
class Progress:
    """How far one track of a run has come."""

    number: int = 0  # of the newest attempt
    failures: int = 0  # that spent a retry
    answer: Answer | None = None
    fault: str | None = None  # why it can never be answered
    words: str = ""  # of the newest failure
    next_try_at: datetime | None = None

    @property
    def is_exhausted(self) -> bool:
        return self.answer is None and self.failures > settings.MAX_AI_RETRIES

    @property
    def is_finished(self) -> bool:
        return self.answer is not None or self.fault is not None or self.is_exhausted

    def note(self, attempt: Attempt, *, packets: int) -> None:
        """A success that read fewer packets than there are now does not count.

        Noted twice, because its transaction had to be tried again, an attempt counts once.
        """
        if attempt.number <= self.number:
            return
        self.number = attempt.number
        self.next_try_at = attempt.next_try_at
        self.words = attempt.words or self.words
        if attempt.kind == Verdict.SUCCESS and attempt.packets_read == packets:
            self.answer = attempt.answer
        elif attempt.kind == Verdict.CALL_FAULT:
            self.fault = attempt.words
        elif attempt.kind == Verdict.TRANSIENT and not attempt.forgiven:
            self.failures += 1


Ledger = Mapping[str, Progress]


def ledgers(
    jobs: Collection[Job], packets: Mapping[int, Mapping[str, int]]
) -> dict[int, dict[str, Progress]]:
    """What the rows say of each job's tracks, given how many packets each track has by job.

    Tracks that earlier runs finished, which the job goes on with, count as finished.
    """
    known = {job.pk: {track: Progress() for track in Track.values} for job in jobs}
    earlier = {job.call_id: job for job in jobs if job.since_run < job.run}
    successes = Attempt.objects.succeeded().filter(job__call__in=earlier).select_related("job")
    for attempt in successes.order_by("job__run", "number"):
        job = earlier[attempt.job.call_id]
        whole = attempt.packets_read == packets[job.pk][attempt.track]
        if whole and job.since_run <= attempt.job.run < job.run:
            known[job.pk][attempt.track].answer = attempt.answer
    for attempt in Attempt.objects.filter(job__in=known).order_by("number"):
        known[attempt.job_id][attempt.track].note(
            attempt, packets=packets[attempt.job_id][attempt.track]
        )
    return known


def is_exhausted(job: Job, track: str) -> bool:
    """As the ledger says it now, for failures may have been forgiven meanwhile."""
    spent = job.attempts.filter(track=track, kind=Verdict.TRANSIENT, forgiven=False)
    return spent.count() > settings.MAX_AI_RETRIES


def abandon(job: Job, *, words: str, now: datetime) -> int:
    """Closes the rows that a dead or stopped worker left open; how many."""
    return job.attempts.open().update(
        kind=Verdict.ABANDONED, words=words, ended_at=now, next_try_at=now
    )
