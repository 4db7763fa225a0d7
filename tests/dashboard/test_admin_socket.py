"""The socket of the admin's pages: the values that the pages themselves show, to staff alone."""

import re

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from calls.admin import live
from calls.models import Call
from tests.dashboard.outcomes import finish_run, said, transcribed_call
from tests.dashboard.people import user_with
from tests.dashboard.sockets import ORIGIN, close_code, connect, hear, here, session_of
from tests.factories import NOW, api_key, call_in_progress, fresh_id, hang_up, send

pytestmark = pytest.mark.django_db(transaction=True)


def staff() -> User:
    user = user_with("view_call")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    return User.objects.get(pk=user.pk)


async def look(query: str) -> WebsocketCommunicator:
    cookie = await here(session_of, await here(staff))
    return await connect(f"/ws/admin?{query}", cookie, ORIGIN)


def painted(user: User, path: str) -> str:
    """The page as it is at first."""
    client = Client()
    client.force_login(user)
    return client.get(path).content.decode()


@pytest.mark.parametrize("whole", [False, True])
async def test_the_socket_tells_what_the_page_shows(whole: bool) -> None:
    call = await here(transcribed_call)
    path = f"/admin/calls/call/{call.pk}/change/" if whole else "/admin/calls/call/"
    page = await here(painted, await here(staff), path)
    socket = await look(f"calls={call.pk}" + ("&page=1" if whole else ""))
    parts = (await hear(socket))["parts"]
    assert set(parts) == set(re.findall(r' id="([^"]+)" data-live>', page))
    assert len(parts) > 8
    assert not [markup for markup in parts.values() if markup not in page]
    await socket.disconnect()


async def test_a_page_shows_what_happened_and_what_may_be_done_now() -> None:
    user = await here(user_with, "view_call", "end_call", "archive_call")
    await here(User.objects.filter(pk=user.pk).update, is_staff=True)
    call = await here(call_in_progress)
    cookie = await here(session_of, user)
    socket = await connect(f"/ws/admin?calls={call.pk},1&page=1", cookie, ORIGIN)
    assert "End</button>" in (await hear(socket))["parts"]["tools"]
    await here(finish_run, await here(hang_up, call, now=NOW), said("thank you"))
    parts: dict[str, str] = {}
    while re.findall(r">(\w+)</button>", parts.get("tools", "")) != ["Archive"]:
        parts |= (await hear(socket)).get("parts", {})
    assert "run 1: transcribed" in parts["story"]
    assert f"/admin/calls/result/{call.pk}/change/" in parts[f"call:{call.pk}:result"]
    await socket.disconnect()


async def test_the_changed_values_alone_are_told() -> None:
    call, other = await here(call_in_progress), await here(call_in_progress)
    socket = await look(f"calls={call.pk}")
    await hear(socket)
    await here(send, other.call_id, 3)
    await here(send, call.call_id, 3)
    parts = (await hear(socket))["parts"]
    assert set(parts) == {f"call:{call.pk}:packet_count"}
    await here(hang_up, call, now=NOW)
    parts = (await hear(socket))["parts"]
    assert "Completed" in parts[f"call:{call.pk}:state"]
    await socket.disconnect()


@pytest.mark.parametrize(
    "query", ["", "calls=", "calls=1;drop", "calls=x", "calls=99999999", "newest=x", "newest=9"]
)
async def test_an_address_without_known_calls_is_an_empty_list(query: str) -> None:
    socket = await look(query)
    assert "parts" not in await hear(socket)
    await socket.disconnect()


async def test_a_list_is_told_of_the_calls_that_began_since() -> None:
    call = await here(call_in_progress)
    socket = await look(f"newest={call.pk}&calls={call.pk}")
    assert "newer" not in (await hear(socket))["parts"]
    for words in ("1 newer call: reload", "2 newer calls: reload"):
        await here(call_in_progress)
        parts = (await hear(socket))["parts"]
        assert set(parts) == {"newer"}
        assert words in parts["newer"]
    await socket.disconnect()


async def test_so_many_newer_calls_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST", 1)
    for _ in range(3):
        await here(call_in_progress)
    socket = await look("newest=0")
    assert "more than 1 newer calls: reload" in (await hear(socket))["parts"]["newer"]
    await socket.disconnect()


async def test_a_page_whose_call_is_gone_is_told_so() -> None:
    call = await here(call_in_progress)
    socket = await look(f"calls={call.pk}&page=1")
    await hear(socket)
    await here(Call.objects.filter(pk=call.pk).delete)
    assert await close_code(socket) == 4404


async def test_who_is_no_staff_is_refused() -> None:
    cookie = await here(session_of, await here(user_with, "view_call"))
    assert await close_code(await connect("/ws/admin?calls=1", cookie, ORIGIN)) == 4403


async def test_staff_without_the_permission_are_refused() -> None:
    user = await here(User.objects.create_user, fresh_id(), is_staff=True)
    cookie = await here(session_of, user)
    assert await close_code(await connect("/ws/admin?calls=1", cookie, ORIGIN)) == 4403


async def test_strange_pages_and_keys_are_refused() -> None:
    cookie = await here(session_of, await here(staff))
    strange = (b"origin", b"http://evil.example")
    assert await close_code(await connect("/ws/admin", cookie, strange)) == 4403
    key = await here(api_key)
    bearer = (b"authorization", f"Bearer {key}".encode())
    assert await close_code(await connect("/ws/admin", bearer)) == 4401
