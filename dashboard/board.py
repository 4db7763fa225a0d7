"""The read model of the board: one page of rows in a few queries, and the figures above them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import floor
from typing import Self
from zoneinfo import ZoneInfo

from django.contrib.postgres.aggregates import RegrSlope
from django.db.models import Max, Min
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from calls import events, search, stats
from calls.models import Call, Utterance
from calls.models.call import DONE
from calls.states import Outcome, Sentiment, State
from dashboard.filters import Filters
from dashboard.words import ai_progress, next_try_at
from dashboard.zones import midnight

PAGE = 50  # rows
KNOWN_AMONG = 1000  # newest calls, whose agents and queues are offered as filters
TREND = 0.3  # change of the score over a call from which on it counts as one
PLAIN = SafeString("")


@dataclass(frozen=True, slots=True)
class Row:
    """All that a line of the list shows, and nothing else: equal rows look the same."""

    call_id: str
    name: SafeString
    found: SafeString
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
    trend: str
    outcome: Outcome | None
    why: str

    @classmethod
    def of(cls, call: Call, *, words: str = "", found: SafeString = PLAIN, trend: str = "") -> Self:
        result = call.result if call.has_ai_result else None
        ended = call.state != State.IN_PROGRESS
        return cls(
            call_id=call.call_id,
            name=search.marked_id(call.call_id, words),
            found=found,
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
            trend=trend,
            outcome=Outcome(call.ai_outcome) if ended else None,
            # Of a transcribed call it tells what is missing, and so does the column of the packets.
            why="" if call.ai_outcome == Outcome.TRANSCRIBED else call.ai_words,
        )

    @property
    def element(self) -> str:
        return f"call:{self.call_id}"

    @property
    def quotation(self) -> str:
        """The element below it, with what was found in its transcript."""
        return f"said:{self.call_id}"

    @property
    def completeness(self) -> float | None:
        """Percent of the packets that should have come, rounded down; None before the first."""
        due = self.packets + self.missing
        return floor(1000 * self.packets / due) / 10 if due else None


@dataclass(frozen=True, slots=True)
class Page:
    """The addresses before and after it are empty where the list has an end."""

    rows: list[Row]
    top: str = ""
    back: str = ""
    on: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """`packets_per_s` is None while Redis is away, `missing` is in percent."""

    in_progress: int
    failed: int
    done_today: int
    packets_per_s: float | None
    missing: float | None
    ai: stats.AiFigures
    ai_words: str

    @property
    def failure_rate(self) -> int:
        """Of the last hour's attempts, in percent."""
        return round(100 * self.ai.failures / self.ai.attempts) if self.ai.attempts else 0


def page(filters: Filters, *, now: datetime) -> Page:
    found = _found(filters, now=now)
    if filters.before and len(found) <= PAGE:
        # Less than a page above: the top is reached.
        filters = filters.at()
        found = _found(filters, now=now)
    more, found = len(found) > PAGE, found[:PAGE]
    if filters.before:
        found.reverse()
    rows = _rows(found, filters.q)
    if not found:
        return Page(rows, top=filters.at().address if filters.after else "")
    above, below = filters.before or filters.after, more or filters.before
    first, last = (filters.order.cursor(call) for call in (found[0], found[-1]))
    return Page(
        rows,
        top=filters.at().address if above else "",
        back=filters.at(before=first).address if above else "",
        on=filters.at(after=last).address if below else "",
    )


def _found(filters: Filters, *, now: datetime) -> list[Call]:
    """A page of calls and one more, from the cursor on; backwards from `before`."""
    calls = filters.select(now=now).select_related("result")
    calls = calls.defer("metadata", "result__transcript", "result__words")
    cursor = filters.before or filters.after
    calls = filters.order.start(calls, cursor, back=bool(filters.before))
    if filters.q:
        return search.first(calls, filters.q, limit=PAGE + 1)
    return list(calls[: PAGE + 1])


def _rows(calls: Collection[Call], words: str) -> list[Row]:
    heard = [call.pk for call in calls if call.has_ai_result]
    found = search.snippets(heard, words) if words and heard else {}
    trends = _trends(heard) if heard else {}
    return [
        Row.of(call, words=words, found=found.get(call.pk, PLAIN), trend=trends.get(call.pk, ""))
        for call in calls
    ]


def _trends(calls: Collection[int]) -> Mapping[int, str]:
    """Where the sentiment went: the line through the scores of a call, from its first word on."""
    lines = (
        Utterance.objects.filter(result__in=calls)
        .values_list("result_id")
        .annotate(change=RegrSlope("score", "start") * (Max("start") - Min("start")))
        .order_by()
    )
    return {pk: _direction(change) for pk, change in lines if change is not None}


def _direction(change: float) -> str:
    if abs(change) < TREND:
        return "steady"
    return "rising" if change > 0 else "falling"


def tiles(zone: ZoneInfo, *, now: datetime) -> Tiles:
    missing = stats.missing_share(now=now)
    return Tiles(
        in_progress=Call.objects.filter(state=State.IN_PROGRESS).count(),
        failed=Call.objects.filter(state=State.FAILED).count(),
        done_today=Call.objects.filter(DONE, processed_at__gte=midnight(zone, now=now)).count(),
        packets_per_s=events.packets_per_second(now=now),
        missing=None if missing is None else 100 * missing,
        ai=stats.ai_figures(now=now),
        ai_words=stats.why_away(),
    )


def known(field: str) -> list[str]:
    """The agents or queues of the newest calls."""
    newest = Call.objects.newest_first().values("pk")[:KNOWN_AMONG]
    named = Call.objects.filter(pk__in=newest).exclude(**{field: ""})
    return list(named.values_list(field, flat=True).distinct().order_by(field))


def elements(rows: Iterable[Row]) -> dict[str, SafeString]:
    """The markup of the list by the ids of its elements."""
    return {element: markup for row in rows for element, markup in render_row(row).items()}


@lru_cache(maxsize=2000)
def render_row(row: Row) -> Mapping[str, SafeString]:
    """The same partials for first paint and live update, rendered once for all who look."""
    line = {row.element: render_to_string("dashboard/_row.html", {"row": row})}
    if row.found:
        line[row.quotation] = render_to_string("dashboard/_found.html", {"row": row})
    return line
