"""Every socket and everybody: who may listen, from which page, and until when."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from callcenter.asgi import application
from callcenter.sockets import routes
from calls.api import consumers
from calls.api.auth import revoke_key
from calls.api.pbx.doors import DOORS
from calls.models import ApiKey
from dashboard import upkeep
from tests.access.people import Who, World, make_world
from tests.dashboard.sockets import HOST, ORIGIN, here

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = {Who.SUPERVISOR, Who.TRUSTED, Who.STAFF, Who.ADMIN}
READERS = {Who.READ_KEY, *PEOPLE}
STRANGE = [b"http://evil.example", b"null", b"", b"http://localhost:99"]

# Everybody else is closed with 4401 where nobody knows him, else with 4403.
SOCKETS: dict[str, Iterable[Who]] = {
    "ws/dashboard": READERS,
    "ws/supervisor": READERS,
    "ws/board": PEOPLE,
    "ws/admin": {Who.STAFF, Who.ADMIN},
    "": {},  # no such socket
}
KEYS = {Who.INGEST_KEY, Who.READ_KEY, Who.MANAGE_KEY}
UNKNOWN = {Who.NOBODY, Who.WRONG_KEY, Who.REVOKED_KEY, Who.EXPIRED_KEY, Who.DISABLED}
# Of PBXs: the answer to the upgrade that asks with a key as the password.
PBX: dict[str, Iterable[Who]] = {
    "/pbx/asterisk": {Who.INGEST_KEY},
    "/pbx/twilio": Who,  # its key, or its signature, is tested in tests/pbx
}
SOON = 4.0  # seconds


def test_every_socket_has_a_row_and_every_row_a_socket() -> None:
    assert {str(route.pattern) for route in routes} == set(SOCKETS), (
        "who may listen? say so in SOCKETS of tests/access/test_sockets.py"
    )


async def heard(path: str, *headers: tuple[bytes, bytes]) -> int | str:
    """The code with which the socket is closed, or `open` once something else is said."""
    socket = await opened(path, *headers)
    await socket.send_json_to({"action": "ping"})
    message = await socket.receive_output(timeout=SOON)
    await socket.disconnect()
    return int(message["code"]) if message["type"] == "websocket.close" else "open"


async def opened(path: str, *headers: tuple[bytes, bytes]) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(application, path, headers=[HOST, *headers])
    connected, _ = await socket.connect(timeout=SOON)
    assert connected
    return socket


def papers(world: World, who: Who) -> list[tuple[bytes, bytes]]:
    headers = world.headers[who].items()
    return [(name.lower().encode(), value.encode()) for name, value in headers]


def expected(path: str, who: Who) -> int | str:
    if not path:
        return 4404
    if who in SOCKETS[path]:
        return "open"
    keys_open_nothing = who in KEYS and Who.READ_KEY not in SOCKETS[path]
    return 4401 if who in UNKNOWN or keys_open_nothing else 4403


async def test_sockets_are_open_to_whom_the_table_lets_in_and_nobody_else() -> None:
    world = await here(make_world)
    for path in SOCKETS:
        for who in Who:
            answer = await heard(f"/{path or 'ws/nothing'}", *papers(world, who), ORIGIN)
            assert answer == expected(path, who), f"/{path} by {who}"


def test_every_socket_of_a_pbx_has_a_row_and_every_row_a_socket() -> None:
    assert set(DOORS) == set(PBX), "who may stream? say so in PBX of tests/access/test_sockets.py"


async def test_a_pbx_may_stream_with_a_key_for_it_and_nothing_else() -> None:
    world = await here(make_world)
    for path, let_in in PBX.items():
        for who in Who:
            assert await upgraded(path, *as_a_pbx_would(world, who)) == (who in let_in), who


def as_a_pbx_would(world: World, who: Who) -> list[tuple[bytes, bytes]]:
    """The key as a password; the cookie of a session, which must help nobody, as it is."""
    headers = dict(papers(world, who))
    if key := headers.pop(b"authorization", b"").removeprefix(b"Bearer "):
        headers[b"authorization"] = b"Basic " + b64encode(b"pbx:" + key)
    return list(headers.items())


async def upgraded(path: str, *headers: tuple[bytes, bytes]) -> bool:
    socket = WebsocketCommunicator(application, path, headers=[HOST, *headers])
    connected, _ = await socket.connect(timeout=SOON)
    await socket.disconnect()
    return bool(connected)


async def test_a_session_opens_no_socket_from_a_strange_page_and_a_key_needs_no_page() -> None:
    world = await here(make_world)
    for path in filter(None, SOCKETS):
        for origin in STRANGE:
            cookie = papers(world, Who.ADMIN)
            assert await heard(f"/{path}", *cookie, (b"origin", origin)) == 4403
        assert await heard(f"/{path}", *papers(world, Who.ADMIN)) == 4403
        if Who.READ_KEY in SOCKETS[path]:
            assert await heard(f"/{path}", *papers(world, Who.READ_KEY)) == "open"


def disabled(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def logged_out(user: User, client: Client) -> None:
    assert client.post("/logout/").status_code == 302


def without_the_right(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_superuser=False)
    user.user_permissions.clear()


def with_a_new_password(user: User) -> None:
    User.objects.filter(pk=user.pk).update(password="other")


ENDS: dict[Callable[..., None], int] = {
    disabled: 4401,
    logged_out: 4401,
    with_a_new_password: 4401,
    without_the_right: 4403,
}


@pytest.fixture
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who listens is asked for anew after a moment, not only every fifteen seconds."""
    monkeypatch.setattr(consumers, "TRUSTED_FOR", 0.1)
    monkeypatch.setattr(upkeep, "TRUSTED_FOR", 0.0)
    monkeypatch.setattr(upkeep, "REFRESH", 0.3)


def test_who_listens_is_asked_for_anew_within_half_a_minute() -> None:
    assert max(consumers.TRUSTED_FOR, upkeep.TRUSTED_FOR) <= 30


async def close_code(socket: WebsocketCommunicator) -> int:
    """What comes before it is passed over."""
    message: dict[str, Any] = {"type": ""}
    while message["type"] != "websocket.close":
        message = await socket.receive_output(timeout=SOON)
    await socket.disconnect()
    return int(message["code"])


@pytest.mark.usefixtures("asked_often")
@pytest.mark.parametrize("path", [path for path in SOCKETS if path])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_a_socket_ends_with_the_right_to_listen(path: str, end: Callable[..., None]) -> None:
    user = await here(User.objects.create_superuser, username="listener")
    await here(User.objects.filter(pk=user.pk).update, is_staff=True)
    client = Client()
    await here(client.force_login, user)
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()
    socket = await opened(f"/{path}", (b"cookie", cookie), ORIGIN)
    await socket.send_json_to({"action": "ping"})
    await socket.receive_output(timeout=SOON)
    await socket.send_json_to({"ack": 1})
    await here(end, *([user, client] if end is logged_out else [user]))
    assert await close_code(socket) == ENDS[end]


@pytest.mark.usefixtures("asked_often")
@pytest.mark.parametrize("path", ["ws/dashboard", "ws/supervisor"])
async def test_a_socket_ends_with_its_key(path: str) -> None:
    world = await here(make_world)
    socket = await opened(f"/{path}", *papers(world, Who.READ_KEY))
    await socket.send_json_to({"action": "ping"})
    await socket.receive_output(timeout=SOON)
    key = await here(ApiKey.objects.get, scopes=["read"])
    await here(revoke_key, key, now=timezone.now(), actor="test")
    assert await close_code(socket) == 4401


@pytest.mark.usefixtures("asked_often")
async def test_who_is_no_staff_any_more_leaves_the_sockets_of_the_admin() -> None:
    world = await here(make_world)
    socket = await opened("/ws/admin", *papers(world, Who.STAFF), ORIGIN)
    await socket.receive_output(timeout=SOON)
    await socket.send_json_to({"ack": 1})
    await here(User.objects.filter(username=Who.STAFF).update, is_staff=False)
    assert await close_code(socket) == 4403
