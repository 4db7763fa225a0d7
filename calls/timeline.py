"""The last hour, minute by minute: what the charts show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count
from django.db.models.functions import TruncMinute

from calls import events
from calls.models import Attempt, Call, Move
from calls.models.aggregates import Percentile
from calls.states import State
from calls.stats import ANSWERED, FAULTY, TOOK

MINUTES = 60

Series = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """`minutes` in seconds since the epoch, the last one under way; None where nothing is known.

    `calls` counts those that came into each state, `failure_rate` is in percent of the requests,
    latencies are seconds of those that succeeded.
    """

    minutes: list[int]
    calls: dict[str, list[int]]
    packets_per_s: Series
    latency_p50: Series
    latency_p95: Series
    failure_rate: Series


def timeline(*, now: datetime) -> Timeline:
    this = int(now.timestamp()) // 60
    minutes = range(this - MINUTES + 1, this + 1)
    since = datetime.fromtimestamp(minutes[0] * 60, UTC)
    requests = _requests(since)
    return Timeline(
        minutes=[60 * minute for minute in minutes],
        calls=_calls(since, minutes),
        packets_per_s=_packets(minutes, now=now),
        latency_p50=[requests.get(minute, {}).get("p50") for minute in minutes],
        latency_p95=[requests.get(minute, {}).get("p95") for minute in minutes],
        failure_rate=[requests.get(minute, {}).get("failure_rate") for minute in minutes],
    )


def _calls(since: datetime, minutes: Iterable[int]) -> dict[str, list[int]]:
    begun = Call.objects.filter(created_at__gte=since)
    began = begun.values_list(TruncMinute("created_at", tzinfo=UTC))
    moved = Move.objects.filter(at__gte=since).order_by()
    moves = moved.values_list(TruncMinute("at", tzinfo=UTC), "to_state")
    counts = {(_minute(at), State.IN_PROGRESS.value): n for at, n in began.annotate(Count("pk"))}
    counts |= {(_minute(at), state): n for at, state, n in moves.annotate(Count("pk"))}
    return {state: [counts.get((minute, state), 0) for minute in minutes] for state in State.values}


def _packets(minutes: range, *, now: datetime) -> Series:
    counts = events.packets_by_minute(minutes)
    if not counts:
        return [None for _ in minutes]
    lengths = [60.0] * (MINUTES - 1) + [max(now.timestamp() - 60 * minutes[-1], 1.0)]
    return [
        None if n is None else round(n / length, 2)
        for n, length in zip(counts, lengths, strict=True)
    ]


def _requests(since: datetime) -> dict[int, dict[str, float | None]]:
    rows = (
        Attempt.objects.filter(ended_at__gte=since)
        .values_list(TruncMinute("ended_at", tzinfo=UTC))
        .annotate(
            all=Count("pk"),
            failed=Count("pk", filter=FAULTY),
            p50=Percentile(TOOK, share=0.5, filter=ANSWERED),
            p95=Percentile(TOOK, share=0.95, filter=ANSWERED),
        )
        .order_by()
    )
    return {
        _minute(at): {"failure_rate": round(100 * failed / n, 1), "p50": p50, "p95": p95}
        for at, n, failed, p50, p95 in rows
    }


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60
