"""The socket of a page, as a browser holds it: through the whole ASGI application."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from callcenter.asgi import application
from calls.models import Call
from tests.dashboard.people import user_with

HOST = (b"host", b"localhost")
ORIGIN = (b"origin", b"http://localhost")
SOON = 4.0  # seconds; a look at the database that nobody asked for comes after two

P = ParamSpec("P")
R = TypeVar("R")
Message = dict[str, Any]


async def here(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs what uses the ORM beside the sockets under test."""
    result: R = await database_sync_to_async(function)(*args, **kwargs)
    return result


def session_of(user: User) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(user)
    return (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())


async def connect(path: str, *headers: tuple[bytes, bytes]) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(application, path, headers=[HOST, *headers])
    connected, _ = await socket.connect(timeout=SOON)
    assert connected
    return socket


async def look(path: str = "/ws/board", *permissions: str) -> WebsocketCommunicator:
    """The socket of a page that somebody with these permissions, or a supervisor, looks at."""
    user = await here(user_with, *(permissions or ("view_call",)))
    return await connect(path, await here(session_of, user), ORIGIN)


async def close_code(socket: WebsocketCommunicator) -> int:
    message = await socket.receive_output(timeout=SOON)
    assert message["type"] == "websocket.close", message
    return int(message["code"])


async def hear(socket: WebsocketCommunicator) -> Message:
    """The next message, acknowledged."""
    message: Message = await socket.receive_json_from(timeout=SOON)
    await socket.send_json_to({"ack": message["n"]})
    return message


async def hear_of(socket: WebsocketCommunicator, call: Call) -> Message:
    """The next message that has the call's row."""
    async with asyncio.timeout(SOON):
        while element(call) not in (message := await hear(socket)).get("rows", {}):
            pass
    return message


def element(call: Call) -> str:
    return f"call:{call.call_id}"
