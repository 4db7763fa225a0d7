"""The names that the workers are given."""

import os

from django.utils import timezone

from calls import dispatch
from calls.ai import driver, runs
from calls.ingest import ending
from calls.models import Heartbeat
from calls.records import alerts, retention


def work_on_due() -> None:
    driver.drive()


def keep_or_remove() -> None:
    retention.run(now=timezone.now())


def sweep() -> None:
    """Every few seconds: what time alone decides, and what was lost on the way."""
    now = timezone.now()
    Heartbeat.beat(os.environ.get("CALLCENTER_WORKER", "worker"), now=now)
    ending.end_silent_calls(now=now)
    ending.queue_runs_for_late_packets(now=now)
    runs.rescue_dead(now=now)
    if driver.work_waits(now=now):
        dispatch.wake(at=now)
    if retention.is_due(now=now):
        dispatch.wake_retention(at=now)
    alerts.raise_due(now=now)
