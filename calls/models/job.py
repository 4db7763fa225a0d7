"""The AI work of a call: one job a run, one attempt a request."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q

from calls.models.call import Call
from calls.states import Outcome, Track


class Origin(models.TextChoices):
    """Why the run exists."""

    END = "end", "End of the call"
    LATE_PACKETS = "late_packets", "Late packets"
    REPROCESS = "reprocess", "Reprocess"
    RETRY = "retry", "Further run after a failure"


class Priority(models.IntegerChoices):
    """Calls just ended go first."""

    FRESH = 0
    AGAIN = 1


class JobQuerySet(models.QuerySet["Job"]):
    def open(self) -> Self:
        return self.filter(finished_at=None)

    def due(self, *, now: datetime) -> Self:
        """Open jobs that nobody holds and whose time has come, calls just ended before the rest."""
        return self.open().filter(token=None, due_at__lte=now).order_by("priority", "due_at", "pk")

    def dead(self, *, now: datetime) -> Self:
        """Open jobs whose lease ran out: their worker died."""
        return self.open().filter(leased_until__lt=now)

    def held_by(self, worker: str) -> Self:
        return self.open().filter(token__isnull=False, holder=worker)


class Job(models.Model):
    """One run: open until it has an outcome, held under a lease by who has its token."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="jobs")
    run = models.PositiveIntegerField()
    origin = models.CharField(max_length=16, choices=Origin)
    actor = models.CharField(max_length=200)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.FRESH)
    further_runs = models.PositiveSmallIntegerField(
        default=0, help_text="How many runs in a row were started because the one before failed."
    )
    since_run = models.PositiveIntegerField(
        help_text="Tracks finished in this run or later count as finished."
    )
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    token = models.UUIDField(null=True)
    holder = models.CharField(max_length=200, blank=True, help_text="The worker with the token.")
    abandoned = models.PositiveSmallIntegerField(
        default=0, help_text="Leases in a row whose worker died."
    )
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.PENDING)

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["call", "run"], name="job_one_a_run"),
            models.UniqueConstraint(
                fields=["call"], condition=Q(finished_at=None), name="job_one_open_a_call"
            ),
            models.CheckConstraint(
                condition=Q(token=None, leased_until=None)
                | Q(token__isnull=False, leased_until__isnull=False, finished_at=None),
                name="job_lease_iff_token",
            ),
            models.CheckConstraint(
                condition=Q(finished_at=None, outcome=Outcome.PENDING)
                | (Q(finished_at__isnull=False) & ~Q(outcome=Outcome.PENDING)),
                name="job_outcome_iff_finished",
            ),
        ]
        indexes = [
            models.Index(
                fields=["priority", "due_at", "id"],
                name="job_due",
                condition=Q(finished_at=None, token=None),
            ),
            models.Index(
                fields=["leased_until"], name="job_leased", condition=Q(token__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.call} run {self.run}"


class Verdict(models.TextChoices):
    """What came of one request to the AI service."""

    RUNNING = "running", "Running"
    SUCCESS = "success", "Success"
    TRANSIENT = "transient", "Transient failure"
    THROTTLED = "throttled", "Asked to wait"
    CALL_FAULT = "call_fault", "The call's fault"
    CONFIGURATION = "configuration", "Key or address refused"
    ABANDONED = "abandoned", "Abandoned"


FAULTS = (Verdict.TRANSIENT, Verdict.CONFIGURATION)


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def finished_tracks(self, job: Job) -> Self:
        """The successes that count for the job: its own and those of the runs it goes on with."""
        return self.filter(
            job__call=job.call_id,
            job__run__gte=job.since_run,
            job__run__lte=job.run,
            kind=Verdict.SUCCESS,
        ).order_by("job__run", "number")

    def open(self) -> Self:
        return self.filter(kind=Verdict.RUNNING)

    def succeeded(self) -> Self:
        return self.filter(kind=Verdict.SUCCESS)

    def faults_of_service(self) -> Self:
        """Failures that may mean that the service as a whole is away."""
        return self.filter(kind__in=FAULTS)


class Attempt(models.Model):
    """One request about one track, numbered from 1 within its run."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="attempts")
    track = models.CharField(max_length=8, choices=Track)
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    kind = models.CharField(max_length=16, choices=Verdict, default=Verdict.RUNNING)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status of the answer.")
    words = models.CharField(max_length=500, blank=True)
    next_try_at = models.DateTimeField(null=True)
    forgiven = models.BooleanField(
        default=False, help_text="Met while the service was away; spends no retry."
    )
    packets_read = models.PositiveIntegerField(help_text="Packets of the track that were sent.")
    answer = models.JSONField(null=True, editable=False, help_text="Segments of a success.")

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["ended_at"], name="attempt_ended"),
            models.Index(
                fields=["ended_at"],
                name="attempt_succeeded",
                condition=Q(kind=Verdict.SUCCESS),
            ),
            models.Index(
                fields=["started_at"],
                name="attempt_running",
                condition=Q(kind=Verdict.RUNNING),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["job", "track", "number"], name="attempt_number"),
            models.CheckConstraint(
                condition=Q(kind=Verdict.RUNNING, ended_at=None)
                | (~Q(kind=Verdict.RUNNING) & Q(ended_at__gte=F("started_at"))),
                name="attempt_ended_iff_not_running",
            ),
            models.CheckConstraint(
                condition=Q(kind=Verdict.SUCCESS, answer__isnull=False)
                | (~Q(kind=Verdict.SUCCESS) & Q(answer=None)),
                name="attempt_answer_iff_success",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.track} attempt {self.number}"

    @property
    def took_s(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None
