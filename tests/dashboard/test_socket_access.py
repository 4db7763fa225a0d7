"""Who may listen to the socket of a page, and until when."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard import upkeep
from tests.dashboard.outcomes import transcribed_call
from tests.dashboard.people import user_with
from tests.dashboard.sockets import ORIGIN, close_code, connect, hear, here, look, session_of
from tests.factories import api_key, call_in_progress

pytestmark = pytest.mark.django_db(transaction=True)


async def test_nobody_is_refused_with_4401() -> None:
    assert await close_code(await connect("/ws/board", ORIGIN)) == 4401


async def test_a_key_is_refused_with_4401_even_beside_a_session() -> None:
    key = await here(api_key)
    bearer = (b"authorization", f"Bearer {key}".encode())
    assert await close_code(await connect("/ws/board", bearer)) == 4401
    cookie = await here(session_of, await here(user_with, "view_call"))
    assert await close_code(await connect("/ws/board", bearer, cookie)) == 4401


async def test_without_the_permission_it_is_refused_with_4403() -> None:
    assert await close_code(await look("/ws/board", "reprocess_call")) == 4403


@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", b"http://localhost:99"])
async def test_a_strange_page_is_refused_with_4403(origin: bytes) -> None:
    cookie = await here(session_of, await here(user_with, "view_call"))
    assert await close_code(await connect("/ws/board", cookie, (b"origin", origin))) == 4403


@pytest.fixture
def trust_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The login is looked at before each message, not only every thirty seconds."""
    monkeypatch.setattr(upkeep, "TRUSTED_FOR", 0.0)


async def closes_with(code: int, change: Callable[[User], object]) -> None:
    user = await here(user_with, "view_call")
    socket = await connect("/ws/board", await here(session_of, user), ORIGIN)
    await hear(socket)
    await here(change, user)
    await here(call_in_progress)
    assert await close_code(socket) == code


@pytest.mark.usefixtures("trust_nobody")
async def test_who_is_disabled_hears_no_more() -> None:
    await closes_with(4401, lambda user: User.objects.filter(pk=user.pk).update(is_active=False))


@pytest.mark.usefixtures("trust_nobody")
async def test_who_loses_the_permission_hears_no_more() -> None:
    await closes_with(4403, lambda user: user.user_permissions.clear())


@pytest.mark.usefixtures("trust_nobody")
async def test_who_gets_a_new_password_elsewhere_hears_no_more() -> None:
    await closes_with(4401, lambda user: User.objects.filter(pk=user.pk).update(password="other"))


@pytest.mark.usefixtures("trust_nobody")
async def test_who_logs_out_elsewhere_hears_no_more() -> None:
    client = Client()
    await here(client.force_login, await here(user_with, "view_call"))
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()
    socket = await connect("/ws/board", (b"cookie", cookie), ORIGIN)
    await hear(socket)
    await here(client.post, "/logout/")
    await here(call_in_progress)
    assert await close_code(socket) == 4401


async def test_a_calls_page_has_buttons_for_those_who_may_use_them() -> None:
    call = await here(transcribed_call)
    path = f"/ws/board?call={call.call_id}"
    seen = {}
    for permissions in (["view_call"], ["view_call", "reprocess_call"]):
        socket = await look(path, *permissions)
        seen[len(permissions)] = (await hear(socket))["parts"]["actions"]
        await socket.disconnect()
    assert "Reprocess" not in seen[1]
    assert "Reprocess" in seen[2]
