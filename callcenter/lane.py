"""The ingest lane: a good packet with a good key goes straight to the writer.

Of a small request through Django and ninja nearly all time goes into middleware, threads and
wrappers. The lane reads the packet with the schema of the endpoint and stores it through the same
door; whatever is not plainly good goes the whole way and gets its answer from the endpoint itself.
"""

import re
import time
from collections.abc import Awaitable, Iterable, MutableMapping
from typing import Any

from django.http import HttpResponse
from ninja.errors import HttpError, ValidationError
from pydantic import ValidationError as Invalid

from callcenter.limits import App, Message, Receive, Send, replay
from callcenter.metrics.acknowledging import ACCEPTED, BUSY, REFUSED, observe
from calls import context
from calls.api import acceptance
from calls.api.auth import known_keys, secret_of
from calls.api.errors import answer_to
from calls.api.schemas.incoming import PacketIn
from calls.ingest.batching import Busy
from calls.models import ApiKey
from calls.models.access import Scope
from calls.states import CALL_ID_PATTERN

STREAM = re.compile(rf"/v1/call/stream/((?!stream\Z){CALL_ID_PATTERN[1:-1]})")
BULK = "/v1/packets"
HEADERS = (
    (b"content-type", b"application/json; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
)


class IngestLane:
    """ASGI: takes what `BodyLimit` hands on in one message, passes the rest to Django."""

    def __init__(self, django: App) -> None:
        self.django = django
        self._packet = PacketIn.__pydantic_validator__

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.django(scope, receive, send)
            return
        stream = STREAM.fullmatch(scope["path"])
        if stream is None and scope["path"] != BULK:
            await self.django(scope, receive, send)
            return
        message = await receive()
        began = time.perf_counter()
        route = "stream" if stream else "bulk"
        try:
            answer = await self._taken(stream and stream[1], scope["headers"], message)
        except (Busy, HttpError) as refusal:
            await _refuse(answer_to(refusal), send)
            outcome = BUSY if isinstance(refusal, Busy) else REFUSED
            observe[route, outcome](time.perf_counter() - began)
            return
        if answer is None:
            await self.django(scope, replay(message, receive), send)
        else:
            await _accept(answer, send)
            observe[route, ACCEPTED](time.perf_counter() - began)

    async def _taken(
        self, call_id: str | None, headers: list[tuple[bytes, bytes]], message: Message
    ) -> bytes | None:
        """The answer to packets that were stored; None where the endpoint itself must answer."""
        key = await _ingest_key(headers)
        if key is None or message["type"] != "http.request":
            return None
        try:
            return await self._store(call_id, headers, message["body"], key)
        except (Invalid, ValidationError):
            return None

    def _store(
        self, call_id: str | None, headers: list[tuple[bytes, bytes]], body: bytes, key: ApiKey
    ) -> Awaitable[bytes]:
        if call_id is None:
            content_type = dict(headers).get(b"content-type", b"").decode("latin-1")
            return acceptance.take_packets(body, content_type, key=key)
        packet = self._packet.validate_json(body)
        return acceptance.take_packet(call_id, packet, key=key)


async def _ingest_key(headers: list[tuple[bytes, bytes]]) -> ApiKey | None:
    secret = secret_of(headers)
    key = await known_keys.find(secret) if secret else None
    if key is None or not key.allows(Scope.INGEST):
        return None
    context.note_key(key.prefix)
    return key


async def _accept(content: bytes, send: Send) -> None:
    await _send(202, HEADERS, content, send)


async def _refuse(response: HttpResponse, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    await _send(response.status_code, headers, response.content, send)


async def _send(
    status: int, headers: Iterable[tuple[bytes, bytes]], content: bytes, send: Send
) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
