"""/health says what works, quickly, and 503 only where packets cannot be stored."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from callcenter import health
from callcenter.health import Part, look_at_database, look_at_redis
from callcenter.probe import Probe
from calls.ingest.batching import writer
from calls.models import AiService, Heartbeat, Job
from calls.models.job import Priority
from tests.factories import ended_call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def looks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with probes of its own; connections of their threads end with the engine."""
    monkeypatch.setattr(health, "_database", Probe(look_at_database, name="database"))
    monkeypatch.setattr(health, "_redis", Probe(look_at_redis, name="redis"))


@contextmanager
def in_a_thread() -> Iterator[ThreadPoolExecutor]:
    """A look takes the connection of its thread for its own."""
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(lambda: connection.close()).result()


def database_parts() -> dict[str, Part]:
    with in_a_thread() as pool:
        return pool.submit(look_at_database).result()


def test_a_system_that_works_says_so_of_each_part() -> None:
    Heartbeat.beat("here", now=timezone.now())
    answer = Client().get("/health")
    assert answer.status_code == 200
    said = answer.json()
    assert said["status"] == "ok"
    assert set(said["parts"]) == {"process", "database", "redis", "worker", "jobs", "ai"}
    assert all(part["ok"] and part["words"] for part in said["parts"].values()), said
    assert {name for name, part in said["parts"].items() if "age_s" in part} == {
        "process", "worker", "jobs",
    }  # fmt: skip


def test_a_silent_worker_is_told_with_its_age_and_is_no_reason_to_leave() -> None:
    Heartbeat.beat("gone", now=timezone.now() - timedelta(seconds=90))
    answer = Client().get("/health")
    worker = answer.json()["parts"]["worker"]
    assert (answer.status_code, worker["ok"]) == (200, False)
    assert 90 <= worker["age_s"] < 100


def test_the_oldest_due_job_is_found_whatever_its_priority() -> None:
    for _ in Priority:
        ended_call()
    young, old = Job.objects.order_by("pk")
    now = timezone.now()
    Job.objects.filter(pk=young.pk).update(due_at=now - timedelta(seconds=5))
    Job.objects.filter(pk=old.pk).update(
        due_at=now - timedelta(seconds=40), priority=Priority.AGAIN
    )
    part = database_parts()["jobs"]
    assert not part.ok
    assert part.age_s is not None
    assert 40 <= part.age_s < 50


def test_an_outage_of_the_ai_service_is_told_without_its_words() -> None:
    secret = "https://ai.internal refuses our key sk-123"
    AiService.objects.create(
        pk=1, opened_at=timezone.now(), confirmed_at=timezone.now(), words=secret
    )
    answer = Client().get("/health")
    assert answer.status_code == 200
    assert answer.json()["parts"]["ai"] == {"ok": False, "words": "away: calls wait"}


def test_a_database_that_takes_no_writes_is_a_reason_to_leave() -> None:
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        answer = Client().get("/health")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"


def test_tables_that_an_upgrade_has_locked_are_no_reason_to_leave() -> None:
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE calls_heartbeat IN ACCESS EXCLUSIVE MODE")
    try:
        parts = database_parts()
    finally:
        other.rollback()
        other.close()
    assert parts["database"].ok
    assert parts["worker"] == health.NOT_KNOWN


def test_a_writer_that_hangs_is_a_reason_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_began", time.monotonic() - 11)
    answer = Client().get("/health")
    assert answer.status_code == 503
    assert answer.json()["parts"]["database"]["ok"]


def test_probes_reach_it_under_any_name_but_only_by_reading() -> None:
    assert Client().get("/health", headers={"host": "10.1.2.3:8000"}).status_code == 200
    assert Client().head("/health").status_code == 200
    assert Client().post("/health").status_code == 405


def test_a_look_that_hangs_keeps_one_thread_and_nobody_else() -> None:
    looks: list[float] = []
    over = threading.Event()

    def hang() -> bool:
        looks.append(time.monotonic())
        return over.wait()

    probe = Probe(hang, name="hanging")
    began = time.monotonic()
    for _ in range(3):
        probe.ask()
        assert probe.answer(within=0.05) is None
    assert time.monotonic() - began < 1
    assert len(looks) == 1
    over.set()
