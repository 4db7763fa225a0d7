"""Alerts reach an open board by themselves, with a real Redis."""

import asyncio
import time

import pytest
from channels.testing import WebsocketCommunicator

from calls.models import Alert, Call
from calls.records.alerts import acknowledge, raise_due
from dashboard import upkeep
from tests.dashboard.outcomes import REFUSED, finish_run
from tests.dashboard.sockets import SOON, hear, here, look
from tests.factories import NOW, ended_call

pytestmark = pytest.mark.django_db(transaction=True)


async def hear_of_alerts(socket: WebsocketCommunicator) -> str:
    """The next strip."""
    async with asyncio.timeout(SOON):
        while "alerts" not in (message := await hear(socket)).get("parts", {}):
            pass
    strip: str = message["parts"]["alerts"]
    return strip


async def test_an_alert_is_told_when_raised_and_when_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody looks at the database unasked: what is heard was announced.
    monkeypatch.setattr(upkeep, "REFRESH", 60.0)
    socket = await look("/ws/board", "view_call", "acknowledge_alert")
    assert "Nothing is open" in await hear_of_alerts(socket)
    call: Call = await here(finish_run, await here(ended_call), REFUSED)
    await here(raise_due, now=NOW)
    assert call.call_id in await hear_of_alerts(socket)
    alert: Alert = await here(Alert.objects.get)
    began = time.monotonic()
    await here(acknowledge, [alert.pk], now=NOW, actor="user anna")
    assert "Nothing is open" in await hear_of_alerts(socket)
    assert time.monotonic() - began < 2.0
    await socket.disconnect()


async def test_who_may_not_acknowledge_is_told_without_the_button() -> None:
    watcher = await look("/ws/board", "view_call")
    supervisor = await look("/ws/board", "view_call", "acknowledge_alert")
    for socket in (watcher, supervisor):
        await hear_of_alerts(socket)
    await here(finish_run, await here(ended_call), REFUSED)
    await here(raise_due, now=NOW)
    assert "Acknowledge" not in await hear_of_alerts(watcher)
    assert "Acknowledge" in await hear_of_alerts(supervisor)
    for socket in (watcher, supervisor):
        await socket.disconnect()


async def test_the_page_of_all_alerts_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "REFRESH", 60.0)
    socket = await look("/ws/board?alerts=1&standing=open", "view_call", "acknowledge_alert")
    assert (await hear(socket))["parts"].keys() == {"alerts", "acknowledge_open", "pager"}
    call: Call = await here(finish_run, await here(ended_call), REFUSED)
    await here(raise_due, now=NOW)
    alert: Alert = await here(Alert.objects.get)
    row = await hear_of_row(socket, f"alert:{alert.pk}")
    assert call.call_id in row
    assert "Acknowledge" in row
    await here(acknowledge, [alert.pk], now=NOW, actor="user anna")
    assert (await hear(socket))["order"] == []
    await socket.disconnect()


async def hear_of_row(socket: WebsocketCommunicator, element: str) -> str:
    async with asyncio.timeout(SOON):
        while element not in (message := await hear(socket)).get("rows", {}):
            pass
    row: str = message["rows"][element]
    return row
