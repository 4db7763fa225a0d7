"""`manage.py worker`: keeps one whole cluster running for as long as it is not asked to stop."""

import logging
import math
import os
import secrets
import signal
import socket
import tempfile
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from django.conf import settings

from callcenter.environment import BadSetting
from callcenter.worker.cluster import Cluster
from callcenter.worker.pulse import Pulse

HOMES = "callcenter-worker-"
LOOK_EVERY = 0.5  # seconds
LOOK_AT_START_EVERY = 0.1  # seconds, until the cluster is whole
SILENT_TOO_LONG = 60.0  # seconds without a heartbeat
STOP_WITHIN = 12.0  # seconds from the request to SIGKILL
LONGEST_PAUSE = 15.0  # seconds between starts of a cluster that never gets whole

log = logging.getLogger(__name__)


def run() -> None:
    check_queue(settings.Q_CLUSTER)
    with tempfile.TemporaryDirectory(prefix=HOMES) as home:
        Watch(Path(home)).run()


def check_queue(queue: dict[str, Any]) -> None:
    """Refuse settings under which django-q2 hands out a task twice or hoards more than it does."""
    workers, limit = queue["workers"], queue["queue_limit"]
    if limit != workers:
        raise BadSetting("Q_CLUSTER", f"queue_limit {limit} must be the {workers} of workers")
    timeout, retry = queue["timeout"], queue["retry"]
    least = (timeout or 0) * (1 + math.ceil(limit / workers))
    if timeout is not None and retry <= least:
        raise BadSetting("Q_CLUSTER", f"retry {retry} must be above {least}: see timeout, workers")


class Watch:
    def __init__(self, home: Path) -> None:
        self._name = ""
        self._stop_file = home / "stop"
        self._sign_of_life = home / "alive"
        self._environment = {
            # Whoever started us may be a web process, whose pool forked workers must not share.
            "CALLCENTER_ROLE": "worker",
            "CALLCENTER_WORKER_STOP": str(self._stop_file),
            "CALLCENTER_WORKER_SLOT": str(home / "slot"),
        }
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._pulse = Pulse()
        self._cluster: Cluster | None = None
        self._started = 0.0
        self._pause = 0.0
        self._not_before = 0.0

    def run(self) -> None:
        """Until SIGTERM or SIGINT; a second one ends it at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self._asked.put(number))
        self._pulse.start()
        try:
            while not self._asked_within(self._look()):
                self._sign_of_life.touch()
            self._stop()
        finally:
            if self._cluster:
                self._cluster.kill()

    def _asked_within(self, seconds: float) -> bool:
        try:
            self._asked.get(timeout=seconds)
        except Empty:
            return False
        return True

    def _look(self) -> float:
        """See to the cluster; how soon to look again."""
        if not self._pulse.is_alive():
            raise RuntimeError("the thread that talks to the database died")
        if self._cluster:
            return self._check(self._cluster)
        if self._pulse.answers and time.monotonic() >= self._not_before:
            self._start()
        return LOOK_AT_START_EVERY

    def _start(self) -> None:
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        environment = self._environment | {"CALLCENTER_WORKER": self._name}
        self._cluster = Cluster(settings.BASE_DIR, settings.Q_WORKERS, environment)
        self._started = time.monotonic()
        self._pulse.follow(self._name)
        log.info("started the cluster (process %d) as %s", self._cluster.pid, self._name)

    def _check(self, cluster: Cluster) -> float:
        was_whole = cluster.whole
        why = cluster.damage()
        if not why and self._pulse.silence > SILENT_TOO_LONG:
            why = f"it gave no sign of life for {self._pulse.silence:.0f} s"
        if why:
            self._replace(cluster, why)
        elif cluster.whole and not was_whole:
            log.info("the cluster is whole: %d workers", settings.Q_WORKERS)
        return LOOK_EVERY if cluster.whole else LOOK_AT_START_EVERY

    def _replace(self, cluster: Cluster, why: str) -> None:
        cluster.kill()
        self._cluster = None
        self._pulse.mourn(self._name)
        now = time.monotonic()
        self._pause = 0.0 if cluster.whole else min(max(1.0, 2 * self._pause), LONGEST_PAUSE)
        self._not_before = now + self._pause
        log.warning("starting the cluster again: %s after %.0f s", why, now - self._started)

    def _stop(self) -> None:
        if not self._cluster:
            return
        log.info("stopping: what is in flight may finish or is handed back")
        self._stop_file.touch()
        self._cluster.terminate()
        deadline = time.monotonic() + STOP_WITHIN
        while not self._cluster.ended():
            if self._asked_within(0.1) or time.monotonic() > deadline:
                log.warning("not waiting any longer: the cluster is killed")
                return
