"""Group commit: requests that wait together share a transaction, and none harms another."""

import asyncio
import threading

import pytest
from django.db import connection

from calls.ingest import batching
from calls.ingest.batching import Busy, Writer
from calls.models import Call, Packet
from tests.factories import arrival, fresh_id

pytestmark = pytest.mark.django_db(transaction=True)


async def hold(writer: Writer, release: threading.Event) -> "asyncio.Task[bool]":
    """Keeps the writer's thread busy until released."""
    busy = threading.Event()

    def work() -> bool:
        busy.set()
        return release.wait(10)

    held = asyncio.ensure_future(writer.run(work))
    await asyncio.to_thread(busy.wait)
    return held


async def let_others_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_that_wait_together_share_one_transaction() -> None:
    writer, release, name = Writer(), threading.Event(), fresh_id()
    held = await hold(writer, release)
    waiting = [asyncio.ensure_future(writer.store([arrival(name, n)])) for n in range(30)]
    await let_others_run()
    release.set()
    receipts = await asyncio.gather(*waiting)
    await held
    assert {receipt.received_at for [receipt] in receipts} == {receipts[0][0].received_at}
    assert await Packet.objects.acount() == 30


async def test_a_request_that_waits_too_long_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "PATIENCE", 0.05)
    writer, release = Writer(), threading.Event()
    held = await hold(writer, release)
    with pytest.raises(Busy, match="did not answer"):
        await writer.store([arrival(fresh_id(), 0)])
    release.set()
    with pytest.raises(Busy):
        await held


async def test_what_nobody_waits_for_any_more_is_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer, release, gone, stays = Writer(), threading.Event(), fresh_id(), fresh_id()
    held = await hold(writer, release)
    leaving = asyncio.ensure_future(writer.store([arrival(gone, 0)]))
    staying = asyncio.ensure_future(writer.store([arrival(stays, 0)]))
    await let_others_run()
    leaving.cancel()
    await let_others_run()
    release.set()
    await asyncio.gather(held, staying)
    assert [call.call_id async for call in Call.objects.all()] == [stays]


async def test_a_full_queue_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_WAITING", 3)
    writer, release = Writer(), threading.Event()
    held = await hold(writer, release)
    waiting = [asyncio.ensure_future(writer.store([arrival("full", n)])) for n in range(3)]
    await let_others_run()
    with pytest.raises(Busy, match="3 packets wait already"):
        await writer.store([arrival("full", 9)])
    release.set()
    await asyncio.gather(held, *waiting)
    assert (await writer.store([arrival("full", 9)]))[0].next_sequence == 10


async def test_a_packet_that_the_database_refuses_harms_no_other() -> None:
    writer, release, name = Writer(), threading.Event(), fresh_id()
    held = await hold(writer, release)
    good = asyncio.ensure_future(writer.store([arrival(name, 0)]))
    bad = asyncio.ensure_future(writer.store([arrival(name, 1, track="nowhere")]))
    await let_others_run()
    release.set()
    await asyncio.gather(held, good)
    with pytest.raises(Exception, match="packet_track"):
        await bad
    assert await Packet.objects.acount() == 1


async def test_a_connection_that_was_lost_is_made_anew() -> None:
    writer = Writer()
    backend = await writer.run(backend_pid)
    await asyncio.to_thread(end_backend, backend)
    assert await writer.store([arrival(fresh_id(), 0)])
    assert await writer.run(backend_pid) != backend


async def test_while_the_database_takes_no_writes_packets_are_put_off() -> None:
    """As a primary does that was demoted."""
    await asyncio.to_thread(set_read_only, "on")
    try:
        with pytest.raises(Busy, match="read-only"):
            await Writer().store([arrival(fresh_id(), 0)])
    finally:
        await asyncio.to_thread(set_read_only, "off")
    assert await Writer().store([arrival(fresh_id(), 0)])


def set_read_only(value: str) -> None:
    """Of sessions that begin from now on."""
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
    connection.close()


def backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end_backend(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    connection.close()
