"""The read model of the board: one page of rows in one query, and the figures above them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from calls import stats
from calls.models import Call
from calls.states import Outcome, Sentiment, State
from dashboard.filters import Filters
from dashboard.words import ai_progress, next_try_at
from dashboard.zones import midnight

PAGE = 50  # rows
KNOWN_AMONG = 1000  # newest calls, whose agents and queues are offered as filters
# The AI work of these has not begun: its time is set, and no news.
NOTHING_TO_WAIT_FOR = {State.IN_PROGRESS, State.COMPLETED}


@dataclass(frozen=True, slots=True)
class Row:
    """All that a line of the list shows, and nothing else: equal rows look the same."""

    call_id: str
    agent: str
    queue: str
    caller: str
    state: State
    created_at: datetime
    last_packet_at: datetime | None
    duration: timedelta | None
    packets: int
    missing: int
    late: int
    ai_progress: str
    next_try_at: datetime | None
    last_error: str
    sentiment: Sentiment | None
    score: float
    outcome: Outcome | None
    why: str

    @classmethod
    def of(cls, call: Call) -> Self:
        result = call.result if call.has_ai_result else None
        ended = call.state != State.IN_PROGRESS
        return cls(
            call_id=call.call_id,
            agent=call.agent,
            queue=call.queue,
            caller=call.caller,
            state=State(call.state),
            created_at=call.created_at,
            last_packet_at=None if ended else call.last_packet_at,
            duration=call.duration,
            packets=call.packet_count,
            missing=call.missing,
            late=call.late,
            ai_progress=ai_progress(call),
            next_try_at=next_try_at(call),
            last_error=call.last_error,
            sentiment=Sentiment(result.sentiment) if result else None,
            score=result.score if result else 0.0,
            outcome=Outcome(call.ai_outcome) if ended else None,
            why=call.ai_words,
        )

    @property
    def element(self) -> str:
        return f"call:{self.call_id}"


@dataclass(frozen=True, slots=True)
class Page:
    filters: Filters
    rows: list[Row]
    more: bool

    @property
    def newer(self) -> str:
        return self.filters.on_page(self.filters.page - 1) if self.filters.page > 1 else ""

    @property
    def older(self) -> str:
        return self.filters.on_page(self.filters.page + 1) if self.more else ""


@dataclass(frozen=True, slots=True)
class Tiles:
    in_progress: int
    waiting: int
    failed: int
    done_today: int
    packets_per_s: float
    ai: stats.AiFigures

    @property
    def failure_rate(self) -> int:
        """Of the last hour's attempts, in percent."""
        return round(100 * self.ai.failures / self.ai.attempts) if self.ai.attempts else 0


def page(filters: Filters) -> Page:
    first = (filters.page - 1) * PAGE
    calls = filters.select().select_related("result").defer("metadata", "result__transcript")
    found = list(calls[first : first + PAGE + 1])
    return Page(filters, [Row.of(call) for call in found[:PAGE]], len(found) > PAGE)


def tiles(zone: ZoneInfo, *, now: datetime) -> Tiles:
    figures = stats.figures(now=now)
    done = Call.objects.filter(processed_at__gte=midnight(zone, now=now))
    return Tiles(
        in_progress=figures.calls[State.IN_PROGRESS],
        waiting=figures.ai.backlog,
        failed=figures.calls[State.FAILED],
        done_today=done.exclude(ai_outcome__in=[Outcome.PENDING, Outcome.FAILED]).count(),
        packets_per_s=figures.packets_per_s,
        ai=figures.ai,
    )


def known(field: str) -> list[str]:
    """The agents or queues of the newest calls."""
    newest = Call.objects.newest_first().values("pk")[:KNOWN_AMONG]
    named = Call.objects.filter(pk__in=newest).exclude(**{field: ""})
    return list(named.values_list(field, flat=True).distinct().order_by(field))


@lru_cache(maxsize=2000)
def render_row(row: Row) -> SafeString:
    """The same partial for first paint and live update, rendered once for all who look."""
    return render_to_string("dashboard/_row.html", {"row": row})
