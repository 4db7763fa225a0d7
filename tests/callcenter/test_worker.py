"""`manage.py worker` outlives the death of any of its processes, and leaves none behind."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from callcenter import leash
from callcenter.embedded.engines import Urls
from callcenter.environment import BadSetting
from callcenter.groups import alive, members
from callcenter.worker.watch import check_queue
from calls.models import Heartbeat
from tests.waiting import until

pytestmark = pytest.mark.processes

# Within a cluster, in the order in which they are started.
ROLES = {"main": 0, "sentinel": 1, "worker": 3, "monitor": 5, "pusher": 6}


class Worker:
    """A `worker` process on the test database and what belongs to it."""

    def __init__(self, urls: Urls, home: Path) -> None:
        environment = os.environ | {
            "DATABASE_URL": urls.database.replace(
                "/callcenter?", f"/{connection.settings_dict['NAME']}?"
            ),
            "REDIS_URL": urls.redis,
            "SECRET_KEY": settings.SECRET_KEY,
            "TMPDIR": str(home),
        }
        self.log = home / "log"
        with self.log.open("wb") as log:
            self.process = leash.spawn(
                [sys.executable, "manage.py", "worker"],
                cwd=settings.BASE_DIR,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def cluster(self) -> list[int]:
        """The processes of the whole cluster, the main one first."""
        found = psutil.Process(self.process.pid).children()
        group = sorted(members(found[0].pid)) if found else []
        return group if len(group) == settings.Q_WORKERS + 4 else []

    def said(self, words: str) -> int:
        """How often, in its log."""
        return self.log.read_text().count(words)

    def beats_within(self, seconds: float) -> None:
        since = timezone.now()
        until(
            lambda: Heartbeat.objects.filter(at__gt=since).exists(),
            seconds,
            f"a heartbeat\n{self.log.read_text()}",
        )


@pytest.fixture
def worker(engines: Urls, transactional_db: None, tmp_path: Path) -> Iterator[Worker]:
    started = Worker(engines, tmp_path)
    yield started
    started.process.terminate()
    started.process.communicate(timeout=20)


def test_the_death_of_any_process_is_survived(worker: Worker) -> None:
    for deaths, (role, place) in enumerate(ROLES.items()):
        until(partial(lives_again, worker, deaths), 20, f"a cluster before the {role} is killed")
        group = worker.cluster()

        os.kill(group[place], signal.SIGKILL)

        until(partial(gone, group), 5, f"the end of all without the {role}")
        worker.beats_within(20)
    assert worker.said("starting the cluster again") == len(ROLES)


def lives_again(worker: Worker, deaths: int) -> bool:
    return worker.said("the cluster is whole") == deaths + 1


def gone(processes: list[int]) -> bool:
    return not any(map(alive, processes))


def test_sigkill_of_the_worker_leaves_no_process(worker: Worker) -> None:
    group = until(worker.cluster, 20)
    worker.process.kill()
    until(partial(gone, group), 10, "the cluster is gone")


@pytest.mark.parametrize("patience", ["started", "settled"])
def test_sigterm_ends_it_within_fifteen_seconds(worker: Worker, patience: str) -> None:
    group = until(worker.cluster, 20)
    if patience == "settled":
        worker.beats_within(20)

    worker.process.terminate()

    assert worker.process.wait(15) == 0
    assert gone(group)
    assert not worker.said("not waiting any longer")
    assert not list(worker.log.parent.glob("callcenter-worker-*"))


def test_a_second_signal_ends_a_cluster_that_does_not_listen(worker: Worker) -> None:
    group = until(worker.cluster, 20)
    os.kill(group[0], signal.SIGSTOP)
    worker.process.terminate()
    until(lambda: worker.said("stopping"), 5)

    worker.process.send_signal(signal.SIGINT)

    assert worker.process.wait(5) == 0
    assert gone(group)


def queue(**changes: object) -> dict[str, object]:
    return {"workers": 3, "queue_limit": 3, "timeout": None, "retry": 60} | changes


def test_sound_queue_settings_are_taken() -> None:
    check_queue(queue())
    check_queue(queue(timeout=29))


@pytest.mark.parametrize(
    "changes", [{"queue_limit": 50}, {"timeout": 30, "retry": 60}, {"timeout": 60}]
)
def test_queue_settings_that_double_or_hoard_tasks_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadSetting, match=r"^Q_CLUSTER: "):
        check_queue(queue(**changes))
