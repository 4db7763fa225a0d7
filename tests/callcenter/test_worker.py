"""`manage.py worker` outlives the death of any of its processes, and leaves none behind."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.utils import timezone

from callcenter.embedded.engines import Urls
from callcenter.environment import BadSetting
from callcenter.groups import alive, members
from callcenter.worker.watch import check_queue
from calls.models import Heartbeat
from tests.processes import WORKER, Running, running
from tests.waiting import until

pytestmark = pytest.mark.processes

# Within a cluster, in the order in which they are started.
ROLES = {"main": 0, "sentinel": 1, "worker": 3, "monitor": 5, "pusher": 6}


def cluster(worker: Running) -> list[int]:
    """The processes of the whole cluster, the main one first; none until it is whole."""
    found = psutil.Process(worker.process.pid).children()
    group = sorted(members(found[0].pid)) if found else []
    return group if len(group) == settings.Q_WORKERS + 4 else []


def count(worker: Running, words: str) -> int:
    """How often they stand in its log."""
    return worker.said().count(words)


def beats_within(worker: Running, seconds: float) -> None:
    since = timezone.now()
    until(Heartbeat.objects.filter(at__gt=since).exists, seconds, f"a heartbeat\n{worker.said()}")


@pytest.fixture
def worker(engines: Urls, transactional_db: None, tmp_path: Path) -> Iterator[Running]:
    with running(WORKER, urls=engines, home=tmp_path) as started:
        yield started


def test_the_death_of_any_process_is_survived(worker: Running) -> None:
    for deaths, (role, place) in enumerate(ROLES.items()):
        until(partial(lives_again, worker, deaths), 20, f"a cluster before the {role} is killed")
        group = cluster(worker)

        os.kill(group[place], signal.SIGKILL)

        until(partial(gone, group), 5, f"the end of all without the {role}")
        beats_within(worker, 20)
    assert count(worker, "starting the cluster again") == len(ROLES)


def lives_again(worker: Running, deaths: int) -> bool:
    return count(worker, "the cluster is whole") == deaths + 1


def gone(processes: list[int]) -> bool:
    return not any(map(alive, processes))


def test_sigkill_of_the_worker_leaves_no_process(worker: Running) -> None:
    group = until(partial(cluster, worker), 20)
    worker.process.kill()
    until(partial(gone, group), 10, "the cluster is gone")


@pytest.mark.parametrize("patience", ["started", "settled"])
def test_sigterm_ends_it_within_fifteen_seconds(worker: Running, patience: str) -> None:
    group = until(partial(cluster, worker), 20)
    if patience == "settled":
        beats_within(worker, 20)

    worker.process.terminate()

    assert worker.process.wait(15) == 0
    assert gone(group)
    assert not count(worker, "not waiting any longer")
    assert not list(worker.log.parent.glob("callcenter-worker-*"))


def test_a_second_signal_ends_a_cluster_that_does_not_listen(worker: Running) -> None:
    group = until(partial(cluster, worker), 20)
    os.kill(group[0], signal.SIGSTOP)
    worker.process.terminate()
    until(lambda: count(worker, "stopping"), 5)

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
