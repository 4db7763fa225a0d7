"""Packets under load: each acknowledged one is stored exactly once, whatever happens meanwhile.

The short form runs with every `make test`, the long one with `make load`.
"""

import asyncio
import base64
import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from callcenter import leash
from callcenter.embedded import database_url, log_path
from callcenter.embedded.engines import Urls, command
from calls.models import Call, Packet
from tests.factories import api_key
from tests.load.bench import product
from tests.load.client import connect, post
from tests.processes import web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

LONG = os.environ.get("LOAD") == "long"
CALLS, PACKETS = (500, 50_000) if LONG else (50, 5_000)
CLIENTS = 20
AWAY = 10.0 if LONG else 3.0  # seconds


def in_random_order() -> list[tuple[str, int, str]]:
    """Packets of all calls in one random order, a twentieth of them twice."""
    draw = random.Random(20260203)
    one_each = [
        (f"load-{number % CALLS}", number // CALLS, base64.b64encode(draw.randbytes(60)).decode())
        for number in range(PACKETS)
    ]
    packets = one_each + draw.sample(one_each, PACKETS // 20)
    draw.shuffle(packets)
    return packets


def request(call_id: str, sequence: int, data: str, key: str) -> bytes:
    body = {"sequence": sequence, "data": data, "timestamp": 1.5 + sequence * 0.02}
    return post(f"/v1/call/stream/{call_id}", json.dumps(body).encode(), key)


async def send_all(url: str, requests: Iterator[bytes], statuses: Counter[int]) -> None:
    async def client() -> None:
        connection = await connect(url)
        for one in requests:
            status, _ = await connection.ask(one)
            statuses[status] += 1
        connection.transport.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def test_every_acknowledged_packet_is_stored_once_and_byte_for_byte(
    engines: Urls, tmp_path: Path
) -> None:
    sent, key, statuses = in_random_order(), api_key("ingest"), Counter[int]()
    log = log_path(Path(os.environ["DATA_DIR"]), "postgres")
    before = len(log.read_text())
    requests = iter([request(*packet, key) for packet in sent])
    with web(urls=engines, home=tmp_path, WEB_PROCESSES="2") as url:
        asyncio.run(send_all(url, requests, statuses))
    assert statuses == {202: len(sent)}
    check_stored(sent)
    assert "deadlock detected" not in log.read_text()[before:]


def check_stored(sent: list[tuple[str, int, str]]) -> None:
    stored = Packet.objects.values_list("call__call_id", "sequence", "data")
    assert sorted(stored) == sorted(set(sent))
    for call in Call.objects.all():
        counted = call.packets.count()
        assert (call.packet_count, call.last_sequence, call.missing) == (counted, counted - 1, 0)
    assert sum(Call.objects.values_list("duplicates", flat=True)) == len(sent) - PACKETS


class Postgres:
    """The embedded engine of a directory, to be taken away and brought back."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.again: subprocess.Popen[bytes] | None = None

    def postmaster(self) -> psutil.Process:
        pid = (self.home / "postgres" / "postmaster.pid").read_text().split()[0]
        return psutil.Process(int(pid))

    def stop(self) -> None:
        postmaster = self.postmaster()
        postmaster.send_signal(signal.SIGINT)
        postmaster.wait(20)

    def start(self) -> None:
        self.again = leash.spawn(command("postgres", self.home))

    def freeze(self) -> None:
        postmaster = self.postmaster()
        for process in (postmaster, *postmaster.children()):
            process.suspend()

    def thaw(self) -> None:
        postmaster = self.postmaster()
        for process in (*postmaster.children(), postmaster):
            process.resume()

    def end(self) -> None:
        if self.again:
            self.again.terminate()
            self.again.communicate(timeout=20)


@dataclass
class Heard:
    """What the senders heard: statuses, the longest wait, and what was acknowledged."""

    statuses: Counter[int]
    longest: float
    acknowledged: set[tuple[str, int]]
    after: Counter[int]


async def load_while(
    url: str, key: str, take_away: Callable[[], None], bring_back: Callable[[], None]
) -> Heard:
    heard = Heard(Counter(), 0.0, set(), Counter())
    numbers, over, back = itertools.count(), asyncio.Event(), asyncio.Event()

    async def client(name: str) -> None:
        connection = await connect(url)
        while not over.is_set():
            sequence = next(numbers)
            began = time.perf_counter()
            status, _ = await connection.ask(request(name, sequence, "AAAA", key))
            heard.longest = max(heard.longest, time.perf_counter() - began)
            heard.statuses[status] += 1
            heard.after[status] += back.is_set()
            if status == 202:
                heard.acknowledged.add((name, sequence))
            else:
                await asyncio.sleep(0.05)
        connection.transport.close()

    async def trouble() -> None:
        await asyncio.sleep(1)
        await asyncio.to_thread(take_away)
        await asyncio.sleep(AWAY)
        await asyncio.to_thread(bring_back)
        deadline = time.monotonic() + 20
        seen = heard.statuses[202]
        while heard.statuses[202] == seen and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        back.set()
        await asyncio.sleep(1)
        over.set()

    await asyncio.gather(trouble(), *(client(f"away-{n}") for n in range(CLIENTS)))
    return heard


@pytest.mark.parametrize("way", ["stopped", "frozen"])
def test_while_the_database_is_away_packets_are_put_off_and_none_is_lost(
    way: str, tmp_path: Path
) -> None:
    postgres = Postgres(tmp_path)
    ways = {"stopped": (postgres.stop, postgres.start), "frozen": (postgres.freeze, postgres.thaw)}
    with product(tmp_path) as (url, key, _):
        try:
            heard = asyncio.run(load_while(url, key, *ways[way]))
            with psycopg.connect(database_url(tmp_path)) as connection:
                rows = connection.execute(
                    "SELECT call.call_id, sequence FROM calls_packet JOIN calls_call AS call"
                    " ON call.id = calls_packet.call_id"
                ).fetchall()
        finally:
            postgres.end()
    assert set(heard.statuses) == {202, 503}
    assert heard.longest < 2
    assert heard.acknowledged <= set(rows)
    assert heard.after[202] > heard.after[503]
