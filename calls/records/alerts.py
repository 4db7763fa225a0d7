"""What needs a person's attention. Looked for in what happened lately, never where it happens:
the ways of packets and of AI work know nothing of alerts.

The cause of an alert is unique in the database; to look at the same thing again adds nothing.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from calls import events
from calls.models import AiService, Alert
from calls.models.alert import AlertKind
from calls.records import causes, journal
from calls.states import Outcome, State

READER = "alerts"
ROUND = 200  # moves a transaction
ROUNDS = 25  # at a time; the next sweep goes on
KEPT = 10_000  # alerts
OUTCOMES = Q(to_state=State.FAILED) | Q(
    from_state=State.PROCESSING_AI, to_state=State.COMPLETED, call__has_ai_result=True
)


def raise_due(*, now: datetime) -> int:
    """Raises what is due and resolves what is over; how many alerts were raised."""
    raised = _look_around(now=now)
    for _ in range(ROUNDS):
        found, more = _read_journal(now=now)
        raised += found
        if not more:
            break
    if raised:
        _forget_oldest()
    return raised


def acknowledge(alerts: Iterable[int], *, now: datetime, actor: str) -> int:
    """Somebody has seen these (by primary key); how many of them nobody had seen before."""
    with transaction.atomic():
        unseen = Alert.objects.filter(pk__in=list(alerts), acknowledged_at=None)
        count = unseen.update(acknowledged_at=now, acknowledged_by=actor[:200])
        if count:
            events.alerts_changed()
    return count


def _look_around(*, now: datetime) -> int:
    """What time alone decides."""
    with transaction.atomic():
        if journal.take(READER) is None:
            return 0
        if _resolve(now=now):
            events.alerts_changed()
        return _raise([*causes.outage(), *causes.silent_calls(now=now)], now=now)


def _read_journal(*, now: datetime) -> tuple[int, bool]:
    """How many alerts were raised by what calls came to, and whether there is more to read."""
    with transaction.atomic():
        bookmark = journal.take(READER)
        if bookmark is None:
            return 0, False
        moves, more = journal.read_on(bookmark, OUTCOMES, limit=ROUND)
        results = [move.call for move in moves if move.to_state == State.COMPLETED]
        found = [
            *causes.failures(moves),
            *causes.negative_turns(results),
            *causes.phrases_said(results),
        ]
        return _raise(found, now=now), more


def _raise(found: Iterable[Alert], *, now: datetime) -> int:
    """Those whose cause is new."""
    alerts = {alert.cause: alert for alert in found}
    known = Alert.objects.filter(cause__in=list(alerts)).values_list("cause", flat=True)
    for cause in known:
        del alerts[cause]
    for alert in alerts.values():
        alert.raised_at = now
    if alerts:
        Alert.objects.bulk_create(alerts.values(), ignore_conflicts=True)
        events.alerts_changed()
    return len(alerts)


def _resolve(*, now: datetime) -> int:
    """What is over by itself, acknowledged or not."""
    ongoing = Alert.objects.ongoing()
    loud = ~Q(call__state=State.IN_PROGRESS) | Q(call__last_packet_at__gt=F("raised_at"))
    settled = Q(call__state=State.ARCHIVED) | (
        Q(call__state=State.COMPLETED) & ~Q(call__ai_outcome=Outcome.PENDING)
    )
    over = [
        ongoing.filter(loud, kind=AlertKind.SILENT),
        ongoing.filter(settled, kind=AlertKind.FAILED),
    ]
    if not AiService.objects.exclude(confirmed_at=None).exists():
        over.append(ongoing.filter(kind=AlertKind.OUTAGE))
    return sum(alerts.update(resolved_at=now) for alerts in over)


def _forget_oldest() -> None:
    """An outage that goes on would be raised again."""
    last = Alert.objects.newest_first()[KEPT : KEPT + 1].values("pk")
    ongoing_outage = Alert.objects.ongoing().filter(kind=AlertKind.OUTAGE).values("pk")
    Alert.objects.filter(pk__lte=last).exclude(pk__in=ongoing_outage).delete()
