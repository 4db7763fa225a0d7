"""Wakes the workers, now or at a time. Any wake-up may be lost or doubled: jobs are the truth."""

from datetime import datetime, timedelta

from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.tasks import async_task

WORK_ON_DUE = "calls.tasks.work_on_due"
SWEEP = "calls.tasks.sweep"
RETENTION = "calls.tasks.keep_or_remove"

ALIKE = timedelta(seconds=1)
"""Wake-ups this close are one: who is woken stays awake longer than that."""

# Others are delivered at once, too, but never taken for a wake-up to work on what is due.
OTHERS_LIE_BACK = timedelta(days=1)


class _At(ORM):  # type: ignore[misc]
    """Delivers at a time: the broker passes over rows whose lock lies in the future."""

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self.moment = moment
        self.row = 0

    def enqueue(self, task: str) -> int:
        self.row = OrmQ.objects.create(key=self.list_key, payload=task, lock=self.moment).pk
        return self.row


def wake(*, at: datetime) -> None:
    """Part of the caller's transaction: the wake-up exists if and only if the job does.

    Many calls that end together wake the workers once.
    """
    if not OrmQ.objects.filter(lock__gt=at - ALIKE, lock__lte=at).exists():
        async_task(WORK_ON_DUE, broker=_At(at))


def wake_retention(*, at: datetime) -> None:
    """Doubles do no harm: one turn at a time does anything."""
    async_task(RETENTION, broker=_At(at - OTHERS_LIE_BACK))


def wake_sweep(*, now: datetime, previous: int | None = None) -> int:
    """The periodic look for what was lost; returns its number.

    Given the number of the one before, nothing is added while that one still waits to be taken.
    """
    if previous and OrmQ.objects.filter(pk=previous, lock__lte=now).exists():
        return previous
    broker = _At(now - OTHERS_LIE_BACK)
    async_task(SWEEP, broker=broker, task_name="sweep")
    return broker.row
