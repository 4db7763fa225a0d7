"""What docs/scaling.md has operators type into psql loses no packet, while packets come in."""

import asyncio
import itertools
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from callcenter.embedded import database_url
from callcenter.embedded.postgres import BINARIES
from tests.ai_service import ai_service
from tests.documents import blocks
from tests.load.bench import product
from tests.load.client import connect, post
from tests.waiting import until

pytestmark = pytest.mark.processes

CLIENTS = 8
PACKETS = 12  # a call
MARGIN = 120  # calls

Key = tuple[str, int]


def psql(home: Path, lines: str) -> None:
    command = [str(BINARIES / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-v", f"margin={MARGIN}"]
    done = subprocess.run(
        [*command, database_url(home)],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, f"{lines}\n{done.stderr}"


async def load_while(url: str, key: str, work: Callable[[], None]) -> tuple[set[Key], Counter[int]]:
    """Ever new calls, each packet sent until it is acknowledged; some of them twice."""
    working = asyncio.create_task(asyncio.to_thread(work))
    numbers, acknowledged, heard = itertools.count(), set[Key](), Counter[int]()

    async def client() -> None:
        connection = await connect(url)
        while not working.done():
            call = f"p-{next(numbers)}"
            for sequence in [*range(PACKETS), 0]:
                body = b'{"sequence":%d,"data":"AAAA","timestamp":1.5}' % sequence
                request = post(f"/v1/call/stream/{call}", body, key)
                while (status := (await connection.ask(request))[0]) != 202:
                    heard[status] += 1
                    await asyncio.sleep(0.02)
                heard[status] += 1
                acknowledged.add((call, sequence))
                await asyncio.sleep(0.02)
        connection.transport.close()

    await asyncio.gather(working, *(client() for _ in range(CLIENTS)))
    return acknowledged, heard


def ask(home: Path, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url(home)) as session:
        return session.execute(question).fetchall()


STORED = """
SELECT call.call_id, sequence
FROM calls_packet JOIN calls_call AS call ON call.id = calls_packet.call_id
"""
COUNTED = "SELECT sum(packet_count), sum(duplicates) FROM calls_call"
PARTS = "SELECT tableoid::regclass::text, count(*) FROM calls_packet GROUP BY 1"


def test_the_packets_are_partitioned_under_load_and_none_is_lost(tmp_path: Path) -> None:
    prepare, exchange, give_back = blocks("scaling.md", "Partitions", "sql")

    def work() -> None:
        until(lambda: ask(tmp_path, "SELECT count(*) FROM calls_packet")[0][0], 20)
        psql(tmp_path, prepare)
        psql(tmp_path, exchange)
        until(lambda: len(ask(tmp_path, PARTS)) > 10, 60, "calls in the new partitions")

    with (
        ai_service() as service,
        product(tmp_path, worker=True, AI_BASE_URL=service.url) as (url, key, _),
        httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False) as client,
    ):
        acknowledged, heard = asyncio.run(load_while(url, key, work))
        stored = ask(tmp_path, STORED)
        assert len(stored) == len(acknowledged)
        assert set(stored) == acknowledged
        assert set(heard) <= {202, 503}
        [(counted, doubles)] = ask(tmp_path, COUNTED)
        # What was put off may have been stored all the same.
        assert (counted, doubles >= heard[202] - len(stored)) == (len(stored), True)
        check_that_a_call_is_one_partition(tmp_path)
        archive_one_of_each(tmp_path, client)
        psql(tmp_path, give_back)


def check_that_a_call_is_one_partition(home: Path) -> None:
    parts: dict[str, int] = dict(ask(home, PARTS))
    assert parts.pop("calls_packet_before")
    assert len(parts) > 9
    assert all(name.startswith("calls_packet_") for name in parts)
    each = "SELECT count(DISTINCT tableoid) FROM calls_packet GROUP BY call_id"
    assert set(ask(home, each)) == {(1,)}
    [(plan,)] = ask(
        home, "EXPLAIN (FORMAT json) SELECT * FROM calls_packet WHERE call_id = 1000000 ORDER BY 2"
    )
    assert str(plan).count("Relation Name") == 1


def archive_one_of_each(home: Path, client: httpx.Client) -> None:
    first, last = (
        "p-0",
        str(ask(home, "SELECT call_id FROM calls_call ORDER BY id DESC LIMIT 1")[0][0]),
    )
    for name in (first, last):
        client.post(f"/v1/call/{name}/end", json={})
        until(lambda: client.get(f"/v1/call/{name}/status").json()["has_ai_result"], 60)  # noqa: B023
        assert client.get(f"/v1/call/{name}/recording").status_code == 200
        assert client.post(f"/v1/call/{name}/archive").status_code == 202
    left = {name for name, _ in ask(home, STORED)}
    assert left.isdisjoint({first, last})
    assert left
