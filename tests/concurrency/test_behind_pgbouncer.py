"""What runs behind PgBouncer in transaction mode: all of it, with nothing switched."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from django.utils import timezone

from callcenter.embedded.engines import Urls
from calls.ingest.store import store
from calls.models import Attempt, Call, Packet
from calls.records.recording import recording_of
from calls.statements import allow_preparing
from tests.ai_service import ai_service
from tests.concurrency.test_ingest_under_load import (
    check_stored,
    in_random_order,
    request,
    send_all,
)
from tests.factories import api_key, arrival, fresh_id
from tests.load.client import post
from tests.pgbouncer import pgbouncer
from tests.processes import WORKER, running, web
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def pooled(engines: Urls, tmp_path: Path) -> Iterator[Urls]:
    with pgbouncer(engines, tmp_path) as urls:
        yield urls


def test_two_web_processes_and_two_workers_lose_nothing(pooled: Urls, tmp_path: Path) -> None:
    sent, key, statuses = in_random_order(), api_key("ingest"), Counter[int]()
    names = sorted({call_id for call_id, _, _ in sent})
    packets = [request(*packet, key) for packet in sent]
    ends = [post(f"/v1/call/{name}/end", b"{}", key) for name in names]
    with ai_service() as service, ExitStack() as stack:
        for name in ("one", "two"):
            home = tmp_path / name
            home.mkdir()
            settings = {"AI_BASE_URL": service.url, "CALL_IDLE_TIMEOUT": "3600"}
            stack.enter_context(running(WORKER, urls=pooled, home=home, **settings))
        with web(urls=pooled, home=tmp_path, WEB_PROCESSES="2") as url:
            for requests in (packets, ends):
                asyncio.run(send_all(url, iter(requests), statuses))
        transcribed = Call.objects.filter(ai_outcome="transcribed")
        until(lambda: transcribed.count() == len(names), 120)
    assert statuses == {202: len(sent) + len(names)}
    check_stored(sent)
    assert service.requests == Attempt.objects.count() == len(names)


def test_a_long_recording_is_read_and_archived_through_it(pooled: Urls, tmp_path: Path) -> None:
    call_id, key = fresh_id(), {"X-API-Key": api_key("ingest", "read", "manage")}
    draw = random.Random(3)
    sounds = [base64.b64encode(draw.randbytes(160)).decode() for _ in range(700)]
    packets = [arrival(call_id, number, data=data) for number, data in enumerate(sounds)]
    store(packets, now=timezone.now())
    recording = recording_of(Call.objects.get())
    whole = recording.read(0, recording.size)
    kept = {"DATA_DIR": str(tmp_path), "ARCHIVE_AFTER": "0"}
    with ai_service() as service, web(urls=pooled, home=tmp_path, **kept) as url:
        address = f"{url}/v1/call/{call_id}"
        worker = running(WORKER, urls=pooled, home=tmp_path, AI_BASE_URL=service.url, **kept)
        with worker, httpx.Client(headers=key, trust_env=False) as client:
            assert client.get(f"{address}/recording").content == whole
            client.post(f"{address}/end", json={})
            until(lambda: Call.objects.get().state == "ARCHIVED", 60)
            assert client.get(f"{address}/recording").content == whole
    assert not Packet.objects.exists()


def test_statements_are_prepared_only_in_a_session_of_our_own(engines: Urls, pooled: Urls) -> None:
    for urls, threshold in ((engines, 0), (pooled, None)):
        with psycopg.connect(urls.database, prepare_threshold=None) as session:
            allow_preparing(session)
            assert session.prepare_threshold == threshold
