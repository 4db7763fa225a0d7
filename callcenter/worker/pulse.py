"""The worker's dealings with the database: it wakes the sweep and reads what the sweep wrote.

In a thread of its own, so that a database that hangs cannot keep the worker from stopping.
"""

import logging
import threading
import time
from datetime import datetime

from django.db import Error, connection
from django.utils import timezone

from calls import dispatch
from calls.ai import runs
from calls.models import Heartbeat

EVERY = 5.0  # seconds

log = logging.getLogger(__name__)


class Pulse(threading.Thread):
    def __init__(self, worker: str = "") -> None:
        super().__init__(name="pulse", daemon=True)
        self.answers = False
        """Whether the database answered when it was asked last."""
        self.silence = 0.0
        """Seconds without a new heartbeat, the database's own absence not counted."""
        self._worker = worker
        self._dead: list[str] = []
        self._news = threading.Event()
        self._sweep: int | None = None
        self._last: datetime | None = None
        self._complained = False

    def run(self) -> None:
        before = time.monotonic()
        while True:
            self.beat(time.monotonic() - before)
            before = time.monotonic()
            self._news.wait(EVERY)
            self._news.clear()

    def follow(self, worker: str) -> None:
        """Whose heartbeats count from now on."""
        self._worker, self.silence = worker, 0.0

    def mourn(self, worker: str) -> None:
        """What a cluster that was killed held is taken back at once, not when its leases end."""
        self._dead.append(worker)
        self._news.set()

    def beat(self, elapsed: float) -> None:
        """One look at the database, `elapsed` seconds after the one before."""
        try:
            at = self._ask()
        except Error as error:
            self._lost(error)
            return
        self._found()
        # A query that hung for minutes says nothing about the workers in that time.
        self.silence = 0.0 if at != self._last else self.silence + min(elapsed, 2 * EVERY)
        self._last = at

    def _ask(self) -> datetime | None:
        while self._dead:
            self._bury(self._dead[0])
            del self._dead[0]
        self._sweep = dispatch.wake_sweep(now=timezone.now(), previous=self._sweep)
        row = Heartbeat.objects.filter(worker=self._worker).first()
        return row.at if row else None

    def _bury(self, worker: str) -> None:
        if rescued := runs.rescue_from(worker, now=timezone.now()):
            log.info("took %d jobs of %s back", rescued, worker)
        Heartbeat.objects.filter(worker=worker).delete()

    def _lost(self, error: Error) -> None:
        connection.close()
        self.answers, self.silence = False, 0.0
        if not self._complained:
            log.warning("the database does not answer, waiting: %s", str(error).strip())
        self._complained = True

    def _found(self) -> None:
        if self._complained:
            log.info("the database answers")
        self.answers, self._complained = True, False
