"""Figures of the whole system, from the database; the packet rate from the announcers' counters."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Q, Sum
from django.db.models.fields import IntegerField
from django.db.models.functions import Cast

from calls import events
from calls.models import AiService, Attempt, Call, Job
from calls.models.aggregates import Percentile
from calls.models.job import FAULTS, Priority, Verdict
from calls.states import State

FAULTY = Q(kind__in=FAULTS)
ANSWERED = Q(kind=Verdict.SUCCESS)
TOOK = F("ended_at") - F("started_at")
RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AiFigures:
    backlog: int
    oldest_due_s: float
    attempts: int
    failures: int
    median_s: float | None
    available: bool


@dataclass(frozen=True, slots=True)
class Figures:
    calls: dict[str, int]
    packets_per_s: float
    ai: AiFigures


def figures(*, now: datetime) -> Figures:
    counted = dict(Call.objects.values_list("state").annotate(Count("pk")))
    return Figures(
        calls={state: counted.get(state, 0) for state in State.values},
        packets_per_s=events.packets_per_second(now=now) or 0.0,
        ai=ai_figures(now=now),
    )


def ai_figures(*, now: datetime) -> AiFigures:
    """Attempts, failures and the median of successes are the last hour's; ages are in seconds."""
    recent = Attempt.objects.filter(ended_at__gte=now - RECENT).aggregate(
        all=Count("pk"),
        failed=Count("pk", filter=FAULTY),
        median=Percentile(TOOK, share=0.5, filter=ANSWERED),
    )
    oldest = oldest_due(now=now)
    return AiFigures(
        backlog=Call.objects.waiting_for_outcome().count(),
        oldest_due_s=round((now - oldest).total_seconds(), 3) if oldest else 0.0,
        attempts=recent["all"],
        failures=recent["failed"],
        median_s=recent["median"],
        available=ai_available(now=now),
    )


def oldest_due(*, now: datetime) -> datetime | None:
    """Since when the oldest job that nobody holds has been due.

    Asked by priority, for which the index has the answer at one end, however many wait.
    """
    waiting = Job.objects.due(now=now).order_by("due_at").values_list("due_at", flat=True)
    firsts = (waiting.filter(priority=priority).first() for priority in Priority)
    return min((first for first in firsts if first), default=None)


def ai_available(*, now: datetime) -> bool:
    """False while the service is away: a probe said so, or none was answered for a while."""
    service = AiService.objects.first()
    return service is None or service.is_available(now=now)


def why_away() -> str:
    """What is wrong with the service, in words; nothing while no probe found it away."""
    service = AiService.objects.exclude(confirmed_at=None).first()
    return service.words if service else ""


def missing_share(*, now: datetime) -> float | None:
    """Of the packets that the calls begun in the last hour should have; None without any."""
    from_zero = Cast("has_packet_zero", IntegerField())
    sums = Call.objects.filter(created_at__gte=now - RECENT).aggregate(
        came=Sum("packet_count"), due=Sum(F("last_sequence") + from_zero)
    )
    return 1 - sums["came"] / sums["due"] if sums["due"] else None
