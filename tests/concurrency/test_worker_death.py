"""The worker's processes are killed while they work; calls come out all the same."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.utils import timezone

from callcenter.embedded.engines import Urls
from calls.models import Attempt, Call
from calls.states import Outcome
from tests.ai_service import AiService, ai_service
from tests.factories import fresh_id, hang_up, send
from tests.processes import WORKER, Running, running
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

SWEEP = 20  # seconds that any rescue may take


@pytest.fixture
def service() -> Iterator[AiService]:
    with ai_service() as started:
        yield started


@pytest.fixture
def worker(engines: Urls, tmp_path: Path, service: AiService) -> Iterator[Running]:
    with running(WORKER, urls=engines, home=tmp_path, AI_BASE_URL=service.url) as started:
        until(lambda: "the cluster is whole" in started.said(), 30, started.said())
        yield started


def ended_call() -> Call:
    call_id = fresh_id()
    send(call_id, 0, now=timezone.now())
    return hang_up(Call.objects.get(call_id=call_id), now=timezone.now())


def transcribed(call: Call) -> bool:
    call.refresh_from_db()
    return call.ai_outcome == Outcome.TRANSCRIBED


def busy_process(worker: Running, service: AiService) -> psutil.Process:
    """The one that talks to the AI service."""
    port = int(service.url.rpartition(":")[2].partition("/")[0])
    for process in psutil.Process(worker.process.pid).children(recursive=True):
        if any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp")):
            return process
    raise AssertionError("nobody talks to the AI service")


def test_a_call_ended_while_an_idle_worker_was_killed_is_done_soon(
    worker: Running, service: AiService
) -> None:
    first = ended_call()
    until(lambda: transcribed(first), SWEEP, worker.said())
    idle = psutil.Process(worker.process.pid).children(recursive=True)[3]
    idle.kill()
    second = ended_call()
    until(lambda: transcribed(second), SWEEP, worker.said())


def test_the_call_of_a_killed_worker_is_done_soon(worker: Running, service: AiService) -> None:
    service.hold.clear()
    call = ended_call()
    until(lambda: service.in_flight, SWEEP, worker.said())
    busy_process(worker, service).kill()
    service.hold.set()
    until(lambda: transcribed(call), SWEEP, worker.said())
    assert list(Attempt.objects.values_list("kind", flat=True)) == ["abandoned", "success"]
    assert Call.objects.get(pk=call.pk).result.utterances.count() == 1


def test_a_new_secret_key_loses_no_call(engines: Urls, tmp_path: Path, service: AiService) -> None:
    call = ended_call()  # its wake-up is signed with the old key
    settings = {"AI_BASE_URL": service.url, "SECRET_KEY": "another"}
    with running(WORKER, urls=engines, home=tmp_path, **settings) as worker:
        until(lambda: transcribed(call), 30 + SWEEP, worker.said())


@pytest.mark.parametrize("turn", range(10 if os.environ.get("LOAD") == "long" else 1))
def test_a_worker_stopped_during_a_request_hands_its_call_back_at_once(
    worker: Running, service: AiService, turn: int
) -> None:
    service.hold.clear()
    call = ended_call()
    until(lambda: service.in_flight, SWEEP, worker.said())
    os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.process.wait(15) == 0, worker.said()
    [attempt] = Attempt.objects.all()
    assert (attempt.kind, attempt.job.token) == ("abandoned", None)
    assert attempt.job.due_at <= timezone.now()
    assert not transcribed(call)
