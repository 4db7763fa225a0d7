"""Requests at the same instant, over real connections to a real web process."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from callcenter.embedded.engines import Urls
from calls.models import Call, Job
from tests.factories import SPEECHLESS, api_key, fresh_id
from tests.processes import web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

AT_ONCE = 50


@pytest.fixture
def url(engines: Urls, transactional_db: None, tmp_path: Path) -> Iterator[str]:
    with web(urls=engines, home=tmp_path, WEB_PROCESSES="2") as address:
        yield address


def at_once(url: str, path: str, bodies: list[dict[str, object]]) -> list[httpx.Response]:
    """Posts each body over a connection of its own, all released together once connected."""
    headers = {"authorization": f"Bearer {api_key()}"}

    async def post(body: dict[str, object], connected: asyncio.Barrier) -> httpx.Response:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
            await client.get("/docs")
            await connected.wait()
            return await client.post(path, json=body)

    async def all_of_them() -> list[httpx.Response]:
        connected = asyncio.Barrier(len(bodies))
        return await asyncio.gather(*(post(body, connected) for body in bodies))

    return asyncio.run(all_of_them())


def packet(sequence: int) -> dict[str, object]:
    return {"sequence": sequence, "data": SPEECHLESS, "timestamp": 1.5 + sequence}


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_of_identical_packets_one_is_stored_and_all_are_acknowledged(url: str) -> None:
    call_id = fresh_id()
    answers = at_once(url, f"/v1/call/stream/{call_id}", [packet(7)] * AT_ONCE)
    assert statuses(answers) == {202: AT_ONCE}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    call = Call.objects.get(call_id=call_id)
    assert (call.packet_count, call.duplicates) == (1, AT_ONCE - 1)
    assert call.packets.count() == 1


def test_of_first_packets_of_a_new_call_all_are_stored(url: str) -> None:
    call_id = fresh_id()
    bodies = [packet(number) for number in range(AT_ONCE)]
    answers = at_once(url, f"/v1/call/stream/{call_id}", bodies)
    assert statuses(answers) == {202: AT_ONCE}
    call = Call.objects.get(call_id=call_id)
    assert (call.packet_count, call.missing, call.last_sequence) == (AT_ONCE, 0, AT_ONCE - 1)
    assert call.packets.count() == AT_ONCE


def test_of_ends_at_once_one_moves_the_call(url: str) -> None:
    call_id = fresh_id()
    at_once(url, f"/v1/call/stream/{call_id}", [packet(0)])
    answers = at_once(url, f"/v1/call/{call_id}/end", [{"reason": "bye"}] * 20)
    assert statuses(answers) == {202: 20}
    call = Call.objects.get(call_id=call_id)
    assert call.moves.filter(from_state="IN_PROGRESS").count() == 1
    assert Job.objects.filter(call=call).count() == 1


def test_batches_over_the_same_new_calls_in_other_orders_all_pass(url: str) -> None:
    names = [fresh_id() for _ in range(20)]
    bodies: list[dict[str, object]] = [
        {
            "packets": [
                packet(number) | {"call_id": name} for name in names[number:] + names[:number]
            ]
        }
        for number in range(20)
    ]
    answers = at_once(url, "/v1/packets", bodies)
    assert statuses(answers) == {202: 20}
    assert sum(answer.json()["accepted"] for answer in answers) == 400
    assert set(Call.objects.values_list("packet_count", flat=True)) == {20}
