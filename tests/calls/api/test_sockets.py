"""The sockets of the contract, through the whole ASGI application and a real Redis.

Who may listen: `tests/access/test_sockets.py`.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.db import connection

from callcenter.asgi import application
from calls.events import GROUP
from calls.events.updates import READ
from calls.models import Call
from tests.factories import api_key, call_in_progress, fresh_id, hang_up, send

pytestmark = pytest.mark.django_db(transaction=True)

HOST = (b"host", b"localhost")
SOON = 3.0  # seconds

in_database = sync_to_async


async def connect(path: str, *headers: tuple[bytes, bytes]) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(application, path, headers=[HOST, *headers])
    connected, _ = await socket.connect(timeout=SOON)
    assert connected
    return socket


async def connect_with_key(path: str, *scopes: str) -> WebsocketCommunicator:
    secret = await in_database(api_key)(*(scopes or ("read",)))
    return await connect(path, (b"authorization", f"Bearer {secret}".encode()))


async def close_code(socket: WebsocketCommunicator) -> int:
    message = await socket.receive_output(timeout=SOON)
    assert message["type"] == "websocket.close", message
    return int(message["code"])


async def tell(socket: WebsocketCommunicator, **message: object) -> None:
    await socket.send_json_to(message)


async def hear(socket: WebsocketCommunicator) -> dict[str, Any]:
    message: dict[str, Any] = await socket.receive_json_from(timeout=SOON)
    return message


async def hear_until(
    socket: WebsocketCommunicator, fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The first update that fits, alone or among several in one message."""
    while True:
        message = await hear(socket)
        for update in message.get("calls", [message]):
            if fits(update):
                return dict(update)


@pytest.fixture(params=["/ws/dashboard", "/ws/supervisor"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_key_in_the_url_is_not_looked_at(path: str) -> None:
    secret = await in_database(api_key)("read")
    assert await close_code(await connect(f"{path}?api_key={secret}&token={secret}")) == 4401


async def test_a_socket_gets_four_messages_a_second_however_many_processes_announce() -> None:
    socket = await connect_with_key("/ws/supervisor")
    await hear(socket)
    announcing = asyncio.create_task(announce(versions=range(40)))
    heard: list[int] = []
    times: list[float] = []
    while len(heard) < 40:
        message = await hear(socket)
        times.append(time.monotonic())
        heard += [update["version"] for update in message.get("calls", [message])]
    await announcing
    assert heard == list(range(40))
    assert all(fifth - first > 1 for first, fifth in zip(times, times[4:], strict=False))
    await socket.disconnect()


async def announce(*, versions: range) -> None:
    """As several processes do, each of which keeps to its own pause."""
    for version in versions:
        update = json.dumps({"type": "call_update", "call_id": "one", "version": version})
        change = {"call_id": "one", "agent": "", "queue": "", "update": update}
        await get_channel_layer().group_send(GROUP, {"type": "calls.changed", "calls": [change]})
        await asyncio.sleep(0.05)


async def test_the_supervisors_socket_begins_with_a_snapshot() -> None:
    call = await in_database(call_in_progress)(packets=2)
    socket = await connect_with_key("/ws/supervisor")
    snapshot = await hear(socket)
    assert snapshot["truncated"] is False
    [state] = snapshot["calls"]
    assert state.pop("timestamp").endswith("Z")
    assert state == {
        "type": "call_update",
        "call_id": call.call_id,
        "state": "IN_PROGRESS",
        "version": call.version,
        "previous": None,
        "packet_count": 2,
        "last_sequence": 1,
        "missing": 0,
        "late": 0,
        "ai": {
            "outcome": "pending",
            "attempts": 0,
            "next_attempt_at": None,
            "last_error": None,
        },
        "ai_result": None,
    }
    await socket.disconnect()


async def test_an_update_follows_each_change_and_names_the_version_before() -> None:
    call = await in_database(call_in_progress)()
    socket = await connect_with_key("/ws/supervisor")
    await hear(socket)
    await in_database(send)(call.call_id, 9)
    first = await hear_until(socket, lambda update: update["packet_count"] == 4)
    await in_database(hang_up)(call, now=call.created_at)
    second = await hear_until(socket, lambda update: update["state"] == "COMPLETED")
    assert second["previous"] == first["version"] < second["version"]
    assert (first["missing"], second["ai"]["outcome"]) == (6, "pending")
    await socket.disconnect()


async def test_a_change_is_told_though_the_database_closed_the_connection_since_the_last() -> None:
    call = await in_database(call_in_progress)()
    socket = await connect_with_key("/ws/supervisor")
    await hear(socket)
    await in_database(send)(call.call_id, 7)
    await hear_until(socket, lambda update: update["last_sequence"] == 7)
    await in_database(close_connection_of_announcer)()
    await in_database(send)(call.call_id, 8)
    await hear_until(socket, lambda update: update["last_sequence"] == 8)
    await socket.disconnect()


def close_connection_of_announcer() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE query LIKE %s AND pid <> pg_backend_pid()"
            " ORDER BY query_start DESC LIMIT 1",
            [f"%{READ.split('WHERE')[0].strip()}%"],
        )
        assert cursor.fetchall() == [(True,)]


async def test_the_dashboard_socket_is_silent_about_calls_not_subscribed_to() -> None:
    wanted, other = fresh_id(), fresh_id()
    socket = await connect_with_key("/ws/dashboard")
    await tell(socket, action="subscribe", call_id=wanted)
    assert await hear(socket) == {"type": "snapshot", "calls": [], "truncated": False}
    await in_database(send)(other, 0)
    await in_database(send)(wanted, 0)
    assert (await hear(socket))["call_id"] == wanted
    assert await socket.receive_nothing(timeout=0.6)
    await socket.disconnect()


@pytest.mark.parametrize("selector", ["queue", "agent"])
async def test_a_queue_or_an_agent_can_be_subscribed_to(selector: str) -> None:
    socket = await connect_with_key("/ws/dashboard")
    await tell(socket, action="subscribe", **{selector: "north"})
    await hear(socket)
    call = await in_database(call_in_progress)()
    await in_database(Call.objects.filter(pk=call.pk).update)(**{selector: "north"})
    await in_database(send)(call.call_id, 7)
    update = await hear_until(socket, lambda update: update["packet_count"] == 4)
    assert update["call_id"] == call.call_id
    await socket.disconnect()


async def test_after_unsubscribing_there_is_silence() -> None:
    call = await in_database(call_in_progress)()
    socket = await connect_with_key("/ws/dashboard")
    await tell(socket, action="subscribe", call_id=call.call_id)
    await hear(socket)
    await tell(socket, action="unsubscribe", call_id=call.call_id)
    await tell(socket, action="ping")
    assert (await hear_until(socket, lambda m: m["type"] == "pong"))["type"] == "pong"
    await in_database(send)(call.call_id, 8)
    assert await socket.receive_nothing(timeout=0.6)
    await socket.disconnect()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "Invalid JSON"),
        ('{"action":"dance"}', "action"),
        ('{"action":"subscribe","call_id":"a b"}', "call_id"),
        ('{"action":"subscribe","call_id":"a","queue":"b"}', "name one of"),
        ('{"action":"subscribe","colour":"red"}', "colour"),
        ('{"action":"subscribe","queue":"' + "x" * 5000 + '"}', "4096"),
    ],
)
async def test_a_message_that_makes_no_sense_is_answered_with_why(text: str, words: str) -> None:
    socket = await connect_with_key("/ws/dashboard")
    await socket.send_to(text_data=text)
    answer = await hear(socket)
    assert answer["type"] == "error"
    assert words in answer["detail"]
    await socket.disconnect()


async def test_ten_seconds_of_idleness_are_survived() -> None:
    socket = await connect_with_key("/ws/supervisor")
    await hear(socket)
    # The layer's plain variant loses its consumers after 5 s; only time can show it.
    await asyncio.sleep(10)
    call = await in_database(call_in_progress)()
    assert (await hear(socket))["call_id"] == call.call_id
    await socket.disconnect()


async def test_a_burst_of_packets_becomes_at_most_four_messages_a_second() -> None:
    call_id = fresh_id()
    socket = await connect_with_key("/ws/supervisor")
    await hear(socket)
    for sequence in range(50):
        await in_database(send)(call_id, sequence)
    heard = [await hear(socket)]
    while heard[-1]["packet_count"] < 50:
        heard.append(await hear(socket))
    spent = await _seconds_between(heard[0], heard[-1])
    assert len(heard) <= 2 + spent * 4
    await socket.disconnect()


async def _seconds_between(first: dict[str, Any], last: dict[str, Any]) -> float:
    def parse(message: dict[str, Any]) -> Any:
        return Call._meta.get_field("created_at").to_python(message["timestamp"])

    return float((parse(last) - parse(first)).total_seconds())
