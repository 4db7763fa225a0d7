"""PBXs that talk to the application frame by frame, and what was stored of it."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator

from callcenter.asgi import application
from calls.models import Call, Packet
from tests.factories import api_key

SOON = 5.0  # seconds
ULAW_FRAME = 160  # bytes, 20 ms

in_database = sync_to_async


def audio(seconds: float, *, seed: int = 1) -> bytes:
    """µ-law that differs from byte to byte."""
    return bytes((n * 7 + seed * 31 + n // 251) % 256 for n in range(round(seconds * 8000)))


def frames(sound: bytes, size: int = ULAW_FRAME) -> list[bytes]:
    return [sound[at : at + size] for at in range(0, len(sound), size)]


def basic(secret: str) -> tuple[bytes, bytes]:
    return (b"authorization", b"Basic " + base64.b64encode(f"pbx:{secret}".encode()))


def media_start(channel: str = "1795316945.2", form: str = "ulaw") -> str:
    return json.dumps(
        {
            "event": "MEDIA_START",
            "connection_id": "calls",
            "channel": "WebSocket/calls/0x7f",
            "channel_id": channel,
            "format": form,
            "optimal_frame_size": 160,
            "ptime": 20,
            "channel_variables": {},
        }
    )


def plain_start(channel: str = "1795316945.2", form: str = "ulaw") -> str:
    return (
        "MEDIA_START connection_id:calls channel:WebSocket/calls/0x7f"
        f" channel_id:{channel} format:{form} optimal_frame_size:160 ptime:20"
    )


class Pbx:
    """A socket of a PBX, through the whole ASGI application."""

    def __init__(self, path: str, *headers: tuple[bytes, bytes], protocols: Iterable[str] = ()):
        self.socket = WebsocketCommunicator(
            application, path, headers=list(headers), subprotocols=list(protocols)
        )

    async def dial(self) -> "Pbx":
        connected, _ = await self.socket.connect(timeout=SOON)
        assert connected
        return self

    async def refusal(self) -> int:
        """The status of the refused upgrade."""
        connected, code = await self.socket.connect(timeout=SOON)
        assert not connected
        return int(code) - 4000

    async def say(self, *spoken: bytes | str | dict[str, Any]) -> "Pbx":
        for one in spoken:
            if isinstance(one, bytes):
                await self.socket.send_to(bytes_data=one)
            else:
                text = one if isinstance(one, str) else json.dumps(one)
                await self.socket.send_to(text_data=text)
        return self

    async def hear(self) -> str:
        return str(await self.socket.receive_from(timeout=SOON))

    async def closed_with(self) -> int:
        message = await self.socket.receive_output(timeout=SOON)
        assert message["type"] == "websocket.close", message
        await self.socket.send_input({"type": "websocket.disconnect", "code": message["code"]})
        await self.socket.wait(timeout=SOON)
        return int(message["code"])

    async def leave(self, code: int = 1000) -> None:
        """The socket is closed, or lost; returns when all is stored."""
        await self.socket.send_input({"type": "websocket.disconnect", "code": code})
        await self.socket.wait(timeout=SOON)


async def asterisk(query: str = "", *, secret: str = "") -> Pbx:
    key = secret or await in_database(api_key)("ingest")
    return await Pbx(f"/pbx/asterisk?{query}", basic(key), protocols=["media"]).dial()


async def call(call_id: str) -> Call:
    return await Call.objects.aget(call_id=call_id)


async def stored(call_id: str, track: str = "inbound") -> bytes:
    """The audio of a track as it lies in the table."""
    return b"".join([base64.b64decode(packet.data) for packet in await packets(call_id, track)])


async def packets(call_id: str, track: str = "inbound") -> list[Packet]:
    found = Packet.objects.filter(call__call_id=call_id, track=track).order_by("sequence")
    return [packet async for packet in found]
