"""The list of calls: filters, newest first, one page after the other."""

from datetime import datetime, timedelta

from django.db.models import F, Q

from calls.api.schemas.incoming import CallsQuery
from calls.models import Call
from calls.models.call import CallQuerySet


def list_calls(query: CallsQuery, *, now: datetime) -> tuple[list[Call], str | None]:
    """One page of the calls that fit, and the cursor of the next."""
    calls = _filtered(query, now=now)
    if query.cursor:
        calls = calls.filter(pk__lt=int(query.cursor))
    page = list(calls.newest_first()[: query.limit + 1])
    more = len(page) > query.limit
    page = page[: query.limit]
    return page, str(page[-1].pk) if more else None


def _filtered(query: CallsQuery, *, now: datetime) -> CallQuerySet:
    exact = {
        "state": query.state,
        "agent": query.agent,
        "queue": query.queue,
        "ai_outcome": query.ai_outcome,
        "result__sentiment": query.sentiment,
        "created_at__gte": query.started_after,
        "created_at__lt": query.started_before,
    }
    calls = Call.objects.filter(**{name: value for name, value in exact.items() if value})
    if query.q:
        calls = calls.filter(
            Q(call_id__icontains=query.q) | Q(result__transcript__icontains=query.q)
        )
    if query.min_duration:
        least = timedelta(seconds=query.min_duration)
        lasted = Q(ended_at__gte=F("created_at") + least)
        calls = calls.filter(lasted | Q(ended_at=None, created_at__lte=now - least))
    return calls
