"""The addresses of PBXs, and how an upgrade is refused."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from calls.api.errors import problem
from calls.api.pbx.admission import Admitted, Refused, by_password, by_signature
from calls.api.pbx.conversation import Conversation, Receive, Send
from calls.api.pbx.origin import origin
from calls.api.pbx.places import Places
from calls.ingest import asterisk, twilio
from calls.ingest.carrier import carrier
from calls.ingest.dialect import Dialect

log = logging.getLogger(__name__)

DOORS: Mapping[str, tuple[Dialect, Callable[[Any, Dialect], Awaitable[Admitted]]]] = {
    "/pbx/asterisk": (asterisk.DIALECT, by_password),
    "/pbx/twilio": (twilio.DIALECT, by_signature),
}


class Pbx:
    """ASGI, for the sockets below `/pbx/`."""

    def __init__(self) -> None:
        self._places = Places()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        try:
            dialect, admitted = await self._admit(scope)
        except Refused as refusal:
            await _refuse(scope, refusal, send)
            return
        conversation = Conversation(dialect, admitted, origin(scope), self._places, send)
        try:
            code = await conversation.hold(scope, receive)
        finally:
            self._places.leave(conversation.key)
        await conversation.part(code)

    async def _admit(self, scope: Any) -> tuple[Dialect, Admitted]:
        """Raises `Refused`."""
        if scope["path"] not in DOORS:
            raise Refused(404, f"no PBX has this address; those there are: {', '.join(DOORS)}")
        dialect, admit = DOORS[scope["path"]]
        admitted = await admit(scope, dialect)
        if carrier().is_full:
            raise Refused(503, "too many sockets wait for the database", **{"retry-after": "2"})
        self._places.take(admitted.key)
        return dialect, admitted


@csrf_exempt
def no_upgrade(request: HttpRequest) -> HttpResponse:
    """What a PBX gets behind a proxy that keeps the upgrade to itself."""
    words = "only WebSockets come in here: the proxy has to hand on Upgrade and Connection"
    log.warning("a request for %s was refused with 426: %s", request.path[:300], words)
    return problem(426, words, Upgrade="websocket")


async def _refuse(scope: Any, refusal: Refused, send: Send) -> None:
    words = "a socket from %s was refused with %d: %s"
    log.warning(words, origin(scope), refusal.status, refusal.words)
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 4000 + refusal.status})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    start = {"type": "websocket.http.response.start", "status": refusal.status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": refusal.words.encode()})
