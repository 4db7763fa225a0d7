"""Bodies that are too large are refused before anything reads them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

MIB = 1024 * 1024
BULK = 16 * MIB  # bytes
OTHER = 1 * MIB
DRAINED = 64 * MIB  # read and thrown away, so that the sender hears the answer
REFUSAL = b'{"detail": "the body is too large: %d bytes at most"}'


class SenderGone(Exception):
    """In the midst of a body: what came of it is not what was meant, and nobody hears an answer."""


class BodyLimit:
    """ASGI middleware: 413 above the limit of the path, by the header or by what arrives."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = BULK if scope["path"] == "/v1/packets" else OTHER
        if _declared(scope) > limit:
            await _refuse(limit, receive, send)
            return
        try:
            body = await _read(limit, receive)
        except SenderGone:
            return
        if body is None:
            await _refuse(limit, receive, send)
            return
        whole = {"type": "http.request", "body": body, "more_body": False}
        await self.app(scope, replay(whole, receive), send)


def _declared(scope: MutableMapping[str, Any]) -> int:
    for name, length in scope["headers"]:
        if name == b"content-length":
            return int(length) if length.isdigit() and len(length) < 16 else 0
    return 0


async def _read(limit: int, receive: Receive) -> bytes | None:
    """The whole body, or None once it is longer than the limit. Raises `SenderGone`."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise SenderGone
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def replay(message: Message, receive: Receive) -> Receive:
    """Gives a message that was taken once more, then whatever comes after it."""
    pending = [message]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


async def _refuse(limit: int, receive: Receive, send: Send) -> None:
    drained = 0
    while drained <= DRAINED:
        message = await receive()
        drained += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
    body = REFUSAL % limit
    length = (b"content-length", b"%d" % len(body))
    headers = [(b"content-type", b"application/json"), (b"connection", b"close"), length]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
