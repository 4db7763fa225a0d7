"""Calls as CSV, written while they are read."""

import csv
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from calls.models import Call

PAGE = 500  # calls read at once
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (
    "call_id",
    "state",
    "end_reason",
    "ai_outcome",
    "ai_words",
    "sentiment",
    "score",
    "agent",
    "queue",
    "caller",
    "callee",
    "direction",
    "packet_count",
    "missing",
    "duplicates",
    "late",
    "attempts",
    "held",
    "created_at",
    "ended_at",
    "processed_at",
)


def export(calls: QuerySet[Call], *, now: datetime) -> StreamingHttpResponse:
    """A file of any length; the calls come in the order in which they began."""
    name = f"calls-{now:%Y%m%d-%H%M%S}.csv"
    return StreamingHttpResponse(
        _pages(calls),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _pages(calls: QuerySet[Call]) -> AsyncIterator[bytes]:
    yield _lines([COLUMNS])
    last = 0
    while page := await sync_to_async(_read)(calls, last):
        yield _lines(_row(call) for call in page)
        last = page[-1].pk


def _read(calls: QuerySet[Call], last: int) -> list[Call]:
    rows = calls.select_related("result").defer("metadata", "result__transcript")
    return list(rows.filter(pk__gt=last).order_by("pk")[:PAGE])


def _row(call: Call) -> list[str]:
    result = call.result if call.has_ai_result else None
    known = {"sentiment": result and result.sentiment, "score": result and result.score}
    return [_cell(known[name] if name in known else getattr(call, name)) for name in COLUMNS]


def _cell(value: object) -> str:
    """As text that no spreadsheet takes for a formula: much of it was said by others."""
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    dangerous = isinstance(value, str) and text.startswith(FORMULA)
    return f"'{text}" if dangerous else text


class _Echo:
    def write(self, line: str) -> str:
        return line


def _lines(rows: Any) -> bytes:
    writer: Any = csv.writer(_Echo())
    lines: Iterator[str] = (writer.writerow(row) for row in rows)
    return "".join(lines).encode()
