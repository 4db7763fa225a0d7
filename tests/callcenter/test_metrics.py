"""/metrics: figures that Prometheus can read, cheap at any size, right with several processes."""

import asyncio
import json
import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from callcenter.embedded.engines import Urls
from callcenter.metrics import figures, view
from callcenter.probe import Probe
from calls.api.auth import revoke_key
from calls.models import AiService, Alert, ApiKey, Heartbeat, Job
from tests.factories import api_key, call_in_progress, ended_call
from tests.load.client import connect, post
from tests.processes import web
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

Samples = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_figures", Probe(figures.read, name="metrics"))


@pytest.fixture
def client() -> Client:
    return Client(headers={"authorization": f"Bearer {api_key('read')}"})


def parsed(text: str) -> Samples:
    """Samples by name and the values of their labels, in the order of the labels' names."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            assert labels not in found.get(sample.name, {}), sample
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def read(client: Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.content
    return parsed(answer.content.decode())


def test_it_is_text_for_prometheus_without_a_value_that_is_no_number(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = parsed(answer.content.decode())
    assert all(name.startswith("callcenter_") for name in samples)
    numbers = [value for by_label in samples.values() for value in by_label.values()]
    assert all(map(math.isfinite, numbers))
    assert samples["callcenter_metrics_unreadable"] == {(): 0}


def test_a_folder_for_data_that_is_not_made_yet_hides_no_figure(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path / "not" / "yet"
    samples = read(client)
    assert samples["callcenter_database_up"] == {(): 1}
    assert samples["callcenter_data_disk_free_bytes"][()] > 0


def test_a_folder_for_data_that_cannot_be_looked_at_hides_no_other_figure(
    client: Client, settings: Settings
) -> None:
    settings.DATA_DIR = Path("/" + "x" * 5000)
    samples = read(client)
    assert samples["callcenter_database_up"] == {(): 1}
    assert "callcenter_data_disk_free_bytes" not in samples


def test_an_empty_system_leaves_out_what_is_not_known(client: Client) -> None:
    samples = read(client)
    assert samples["callcenter_calls"] == {
        (state,): 0 for state in ("IN_PROGRESS", "COMPLETED", "PROCESSING_AI", "FAILED", "ARCHIVED")
    }
    assert samples["callcenter_oldest_due_job_age_seconds"] == {(): 0}
    for absent in ("worker_heartbeat_age_seconds", "missing_packets_ratio", "ai_answer_seconds"):
        assert f"callcenter_{absent}" not in samples


def test_calls_and_what_waits_are_told(client: Client) -> None:
    before = read(client)["callcenter_calls_begun_total"][()]
    now = timezone.now()
    call_in_progress(now=now)
    ended_call(now=now)
    Job.objects.update(due_at=now - timedelta(seconds=30))
    Heartbeat.beat("one", now=now)
    Heartbeat.beat("gone", now=now - timedelta(hours=1))
    AiService.objects.create(pk=1, opened_at=now, confirmed_at=now - timedelta(seconds=60))
    Alert.objects.create(kind="outage", cause="outage", words="away", raised_at=now)
    view._figures = Probe(figures.read, name="metrics")
    samples = read(client)
    assert samples["callcenter_calls"][("IN_PROGRESS",)] == 1
    assert samples["callcenter_calls"][("COMPLETED",)] == 1
    assert samples["callcenter_calls_begun_total"][()] == before + 2
    assert samples["callcenter_backlog_calls"] == {(): 1}
    assert samples["callcenter_jobs_due"] == {(): 1}
    assert 30 <= samples["callcenter_oldest_due_job_age_seconds"][()] < 40
    assert 0 <= samples["callcenter_worker_heartbeat_age_seconds"][()] < 10
    assert samples["callcenter_workers"] == {(): 1}
    assert samples["callcenter_ai_available"] == {(): 0}
    assert 60 <= samples["callcenter_ai_outage_seconds"][()] < 70
    assert samples["callcenter_alerts_open"][("outage",)] == 1


def test_a_state_with_many_calls_is_estimated(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        call_in_progress(packets=1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE calls_call")
    monkeypatch.setattr(figures, "COUNTED", 2)
    assert read(client)["callcenter_calls"][("IN_PROGRESS",)] == 6


def test_what_cannot_be_read_in_time_leaves_the_rest(client: Client) -> None:
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE calls_alert IN ACCESS EXCLUSIVE MODE")
    try:
        samples = read(client)
    finally:
        other.rollback()
        other.close()
    assert samples["callcenter_metrics_unreadable"] == {(): 1}
    assert samples["callcenter_database_up"] == {(): 1}
    assert "callcenter_alerts_open" not in samples
    assert "callcenter_workers" in samples


def test_without_redis_the_rest_is_told(client: Client, settings: Any) -> None:
    settings.REDIS = "redis://127.0.0.1:1/0"
    samples = read(client)
    assert samples["callcenter_redis_up"] == {(): 0}
    assert "callcenter_packets_per_second" not in samples
    assert samples["callcenter_database_up"] == {(): 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer cc_nonsense"}, 401),
        ({"authorization": "Basic YTpi"}, 401),
        ({"x-api-key": "\u00e4\u4e2d"}, 401),
    ],
)
def test_strangers_are_refused(headers: dict[str, str], status: int) -> None:
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"detail"}


def test_a_key_needs_the_scope_read_and_may_come_in_either_header() -> None:
    assert Client().get("/metrics", headers={"x-api-key": api_key("ingest")}).status_code == 403
    assert Client().get("/metrics", headers={"x-api-key": api_key("read")}).status_code == 200
    assert Client().post("/metrics", headers={"x-api-key": api_key("read")}).status_code == 405


@pytest.mark.parametrize("name", ["web:8000", "10.1.2.3:8000"])
def test_prometheus_reads_it_by_the_address_of_each_process(client: Client, name: str) -> None:
    assert client.get("/metrics", headers={"host": name}).status_code == 200


def test_a_revoked_key_is_refused_within_five_seconds() -> None:
    secret = api_key("read")
    client = Client(headers={"authorization": f"Bearer {secret}"})
    read(client)
    revoke_key(ApiKey.objects.get(), now=timezone.now(), actor="test")
    until(lambda: client.get("/metrics").status_code == 401, 5)


@pytest.fixture
def two_processes(engines: Urls, tmp_path: Path) -> Iterator[str]:
    with web(urls=engines, home=tmp_path, WEB_PROCESSES="2") as url:
        yield url


def packet(name: str, sequence: int, key: str) -> bytes:
    body = {"sequence": sequence, "data": "AAAA", "timestamp": 1.5}
    return post(f"/v1/call/stream/{name}", json.dumps(body).encode(), key)


async def send(url: str, key: str, name: str, *, clients: int, each: int) -> int:
    """Packets over so many connections at once; how many."""

    async def client(number: int) -> None:
        connection_ = await connect(url)
        for sequence in range(each):
            request = packet(f"{name}-{number}", sequence, key)
            assert (await connection_.ask(request))[0] == 202

    await asyncio.gather(*(client(number) for number in range(clients)))
    return clients * each


@pytest.mark.processes
def test_two_processes_count_together(two_processes: str, tmp_path: Path) -> None:
    key, sent = api_key(), 0
    place = "callcenter-metrics-*/histogram_*.db"
    # The first process answers before the second has begun.
    until(lambda: len(list(tmp_path.glob(place))) == 2, 30)
    files = list(tmp_path.glob(place))
    # Which process takes a connection is up to the kernel.
    while not all(map(counted, files)):
        sent += asyncio.run(send(two_processes, key, f"r{sent}", clients=40, each=5))
        assert sent < 10_000, "one process takes every connection"
    headers = {"authorization": f"Bearer {key}"}
    for _ in range(6):
        answer = httpx.get(f"{two_processes}/metrics", headers=headers, trust_env=False)
        samples = parsed(answer.text)
        name = "callcenter_ingest_acknowledgement_seconds"
        assert samples[f"{name}_count"][("accepted", "stream")] == sent
        assert samples[f"{name}_bucket"][("+Inf", "accepted", "stream")] == sent
        assert 0 < samples[f"{name}_sum"][("accepted", "stream")] < sent
        assert samples[f"{name}_count"][("busy", "stream")] == 0


def counted(path: Path) -> float:
    """What one process has counted."""
    rows = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return sum(float(value) for _, value, *_ in rows)
