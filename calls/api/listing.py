"""The list of calls: filters, newest first, one page after the other."""

from datetime import datetime

from calls import search
from calls.api.schemas.incoming import CallsQuery
from calls.models import Call
from calls.models.call import CallQuerySet


def list_calls(query: CallsQuery, *, now: datetime) -> tuple[list[Call], str | None]:
    """One page of the calls that fit, and the cursor of the next."""
    calls = _filtered(query, now=now).newest_first()
    if query.cursor:
        calls = calls.filter(pk__lt=int(query.cursor))
    limit = query.limit + 1
    found = search.first(calls, query.q, limit=limit) if query.q else list(calls[:limit])
    page = found[: query.limit]
    return page, str(page[-1].pk) if len(found) > query.limit else None


def _filtered(query: CallsQuery, *, now: datetime) -> CallQuerySet:
    exact = {
        "state": query.state,
        "agent": query.agent,
        "queue": query.queue,
        "ai_outcome": query.ai_outcome,
        "result__sentiment": query.sentiment,
    }
    calls = Call.objects.filter(**{name: value for name, value in exact.items() if value})
    calls = calls.started(after=query.started_after, before=query.started_before)
    return calls.lasting(query.min_duration, now=now) if query.min_duration else calls
