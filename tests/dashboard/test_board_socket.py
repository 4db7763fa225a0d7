"""What the socket of a page tells, with a real Redis."""

import asyncio
import time

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.db.models import F
from django.test import Client

from calls.events import GROUP
from calls.models import Call
from calls.records.archive import archive
from dashboard import upkeep
from tests.dashboard.outcomes import transcribed_call
from tests.dashboard.people import user_with
from tests.dashboard.sockets import SOON, Message, close_code, element, hear, hear_of, here, look
from tests.factories import NOW, call_in_progress, hang_up, send

pytestmark = pytest.mark.django_db(transaction=True)


async def silent(socket: WebsocketCommunicator, *, about: Call) -> bool:
    """Whether a second passes without a word about the call."""
    try:
        async with asyncio.timeout(1.0):
            await hear_of(socket, about)
    except TimeoutError:
        return True
    return False


async def test_the_first_message_is_the_page_as_the_server_paints_it() -> None:
    calls = [await here(call_in_progress), await here(transcribed_call)]
    client = Client()
    await here(client.force_login, await here(user_with, "view_call"))
    page = (await here(client.get, "/")).content.decode()
    socket = await look()
    message = await hear(socket)
    assert message["order"] == [element(call) for call in reversed(calls)]
    for markup in message["rows"].values():
        assert markup in page
    assert message["parts"].keys() == {"alerts", "tiles", "pager"}
    await socket.disconnect()


async def test_a_new_call_comes_first() -> None:
    old = await here(call_in_progress)
    socket = await look()
    await hear(socket)
    new = await here(call_in_progress)
    message = await hear_of(socket, new)
    assert message["order"] == [element(new), element(old)]
    assert old.call_id not in message["rows"]
    await socket.disconnect()


async def test_a_new_call_is_told_within_a_second() -> None:
    socket = await look()
    await hear(socket)
    began = time.monotonic()
    call = await here(call_in_progress)
    await hear_of(socket, call)
    assert time.monotonic() - began < 1.0
    await socket.disconnect()


async def test_only_the_row_that_changed_is_told() -> None:
    call, other = await here(call_in_progress), await here(call_in_progress)
    socket = await look()
    await hear(socket)
    await here(hang_up, call, now=NOW)
    message = await hear_of(socket, call)
    assert "Completed" in message["rows"][element(call)]
    assert element(other) not in message["rows"]
    assert "order" not in message
    await socket.disconnect()


async def test_a_call_that_is_archived_leaves_the_list() -> None:
    gone, other = await here(transcribed_call), await here(call_in_progress)
    socket = await look()
    await hear(socket)
    await here(archive, gone.call_id, now=NOW, actor="test")
    message = await hear(socket)
    assert message["order"] == [element(other)]
    await socket.disconnect()


async def test_a_call_outside_the_filters_is_not_told() -> None:
    socket = await look("/ws/board?state=FAILED")
    assert (await hear(socket)).get("rows") is None
    call = await here(call_in_progress)
    assert await silent(socket, about=call)
    await socket.disconnect()


async def test_without_an_acknowledgement_nothing_more_is_sent() -> None:
    socket = await look()
    first = await socket.receive_json_from(timeout=SOON)
    call = await here(call_in_progress)
    assert await socket.receive_nothing(timeout=1.0)
    await socket.send_json_to({"ack": first["n"]})
    await hear_of(socket, call)
    await socket.disconnect()


async def test_who_reads_late_gets_all_changes_in_one_message() -> None:
    call = await here(call_in_progress, packets=1)
    socket = await look()
    first = await socket.receive_json_from(timeout=SOON)
    for sequence in range(1, 20):
        await here(send, call.call_id, sequence)
    others = [await here(call_in_progress) for _ in range(3)]
    await socket.send_json_to({"ack": first["n"]})
    message = await hear(socket)
    assert message["rows"].keys() == {element(one) for one in [call, *others]}
    assert ">20 <" in message["rows"][element(call)]
    await socket.disconnect()


async def test_at_most_four_messages_a_second_are_sent() -> None:
    call = await here(call_in_progress)
    socket = await look()
    await hear(socket)
    heard, began = 0, time.monotonic()
    while time.monotonic() - began < 2.0:
        # Each of many processes announces on its own.
        await here(Call.objects.filter(pk=call.pk).update, packet_count=F("packet_count") + 1)
        await get_channel_layer().group_send(GROUP, changed(call))
        if not await socket.receive_nothing(timeout=0.02):
            await hear(socket)
            heard += 1
    assert 3 <= heard <= 9
    await socket.disconnect()


def changed(call: Call) -> Message:
    news = {"call_id": call.call_id, "agent": "", "queue": "", "update": "{}"}
    return {"type": "calls.changed", "calls": [news]}


async def test_a_change_that_nobody_announced_is_seen_all_the_same() -> None:
    call = await here(call_in_progress)
    socket = await look()
    await hear(socket)
    await here(Call.objects.filter(pk=call.pk).update, agent="Priya")
    assert "Priya" in (await hear_of(socket, call))["rows"][element(call)]
    await socket.disconnect()


async def test_a_quiet_page_hears_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "HEARTBEAT", 0.5)
    call = await here(call_in_progress)
    socket = await look(f"/ws/board?call={call.call_id}")
    await hear(socket)
    message = await hear(socket)
    assert message.keys() == {"n", "at"}
    await socket.disconnect()


async def test_who_never_reads_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "READ_WITHIN", 0.3)
    socket = await look()
    await socket.receive_json_from(timeout=SOON)
    assert await close_code(socket) == 1013


async def test_nonsense_is_no_acknowledgement_and_does_no_harm() -> None:
    socket = await look()
    first = await socket.receive_json_from(timeout=SOON)
    for nonsense in (
        "{",
        "[]",
        "7",
        "null",
        '{"ack": 99}',
        '{"ack": "1"}',
        '{"ack": []}',
        "x" * 9999,
    ):
        await socket.send_to(text_data=nonsense)
    await socket.send_to(bytes_data=b"\0\xff")
    call = await here(call_in_progress)
    assert await socket.receive_nothing(timeout=0.5)
    await socket.send_json_to({"ack": first["n"]})
    await hear_of(socket, call)
    await socket.disconnect()


async def test_a_calls_page_hears_what_changed_of_the_call() -> None:
    call = await here(call_in_progress)
    socket = await look(f"/ws/board?call={call.call_id}")
    first = await hear(socket)
    assert first["parts"].keys() >= {"summary", "transcript", "packets", "attempts", "history"}
    await here(hang_up, call, now=NOW)
    message = await hear(socket)
    assert "In progress → Completed" in message["parts"]["history"]
    assert "facts" not in message["parts"]
    await socket.disconnect()


async def test_a_calls_page_hears_nothing_of_others() -> None:
    call, other = await here(call_in_progress), await here(call_in_progress)
    socket = await look(f"/ws/board?call={call.call_id}")
    await hear(socket)
    await here(hang_up, other, now=NOW)
    assert await socket.receive_nothing(timeout=1.0)
    await socket.disconnect()


@pytest.mark.parametrize("call_id", ["nobody-called", "%00", "a%0A", "x" * 129, ""])
async def test_the_page_of_an_unknown_call_is_closed_with_4404(call_id: str) -> None:
    assert await close_code(await look(f"/ws/board?call={call_id}")) == 4404


async def test_a_page_whose_call_is_deleted_is_closed_with_4404() -> None:
    call = await here(call_in_progress)
    socket = await look(f"/ws/board?call={call.call_id}")
    await hear(socket)
    await here(Call.objects.all().delete)
    assert await close_code(socket) == 4404
