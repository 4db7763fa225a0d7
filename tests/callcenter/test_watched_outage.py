"""What /health and /metrics of a real process say while its engines hang."""

import asyncio
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from callcenter.handler import AT_ONCE
from tests.callcenter.test_metrics import Samples, packet, parsed
from tests.concurrency.test_ingest_under_load import Postgres
from tests.load.bench import product
from tests.load.client import connect
from tests.waiting import until

pytestmark = pytest.mark.processes


PAGES = 2 * AT_ONCE


@dataclass
class System:
    home: Path
    url: str
    key: str

    def health(self) -> tuple[int, dict[str, Any], float]:
        """Status, parts, seconds."""
        began = time.monotonic()
        answer = httpx.get(f"{self.url}/health", timeout=10, trust_env=False)
        return answer.status_code, answer.json()["parts"], time.monotonic() - began

    def scrape(self, key: str = "") -> httpx.Response:
        headers = {"authorization": f"Bearer {key or self.key}"}
        return httpx.get(f"{self.url}/metrics", headers=headers, timeout=10, trust_env=False)

    def samples(self) -> Samples:
        answer = self.scrape()
        assert answer.status_code == 200, answer.text
        return parsed(answer.text)

    def page(self) -> None:
        """What hangs with the database."""
        headers = {"authorization": f"Bearer {self.key}"}
        httpx.get(f"{self.url}/v1/stats", headers=headers, timeout=60, trust_env=False)

    def is_alive(self) -> bool:
        """As the liveness probe of deploy/kubernetes asks."""
        address = f"{self.url}/static/dashboard/icon.svg"
        return httpx.get(address, timeout=5, trust_env=False).status_code == 200

    async def send(self) -> int:
        connection = await connect(self.url)
        return (await connection.ask(packet("away", 0, self.key)))[0]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = tmp_path_factory.mktemp("watched")
    with product(home) as (url, key, _):
        yield System(home, url, key)


@contextmanager
def frozen_redis(home: Path) -> Iterator[None]:
    redis = psutil.Process(int((home / "redis" / "redis.pid").read_text()))
    redis.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        redis.send_signal(signal.SIGCONT)


@contextmanager
def frozen_database(home: Path) -> Iterator[None]:
    postgres = Postgres(home)
    postgres.freeze()
    try:
        yield
    finally:
        postgres.thaw()


def test_a_frozen_redis_is_told_and_packets_are_taken(system: System) -> None:
    with frozen_redis(system.home):
        until(lambda: not system.health()[1]["redis"]["ok"], 5)
        status, _, took = system.health()
        assert status == 200
        assert took < 2
        assert system.samples()["callcenter_redis_up"] == {(): 0}
        assert asyncio.run(system.send()) == 202


def test_a_frozen_database_freezes_no_answer(system: System) -> None:
    assert system.samples()["callcenter_database_up"] == {(): 1}
    with ThreadPoolExecutor(PAGES) as pages, frozen_database(system.home):
        for _ in range(PAGES):
            pages.submit(system.page)
        until(lambda: system.health()[0] == 503, 5)
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: system.health(), range(20)))
        assert {status for status, _, _ in answers} == {503}
        assert max(took for _, _, took in answers) < 2
        assert {parts["database"]["words"] for _, parts, _ in answers} == {"does not answer"}

        assert asyncio.run(system.send()) == 503
        samples = system.samples()
        assert samples["callcenter_database_up"] == {(): 0}
        counted = samples["callcenter_ingest_acknowledgement_seconds_count"]
        assert counted[("busy", "stream")] == 1
        assert system.scrape(key=f"{system.key[:-4]}AAAA").status_code == 503
    until(lambda: system.health()[0] == 200, 10)
    until(lambda: system.samples()["callcenter_database_up"] == {(): 1}, 10)


def test_a_process_whose_pages_all_hang_with_the_database_is_alive(system: System) -> None:
    with ThreadPoolExecutor(PAGES) as pages:
        # The pool gets as many connections as pages take at once: each of them is to hang.
        list(pages.map(lambda _: system.page(), range(3 * PAGES)))
        with frozen_database(system.home):
            for _ in range(PAGES):
                pages.submit(system.page)
            until(lambda: system.health()[0] == 503, 5)
            assert system.is_alive()
