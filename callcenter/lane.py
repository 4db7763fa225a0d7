"""The ingest lane: Django's handler for the packet endpoints, without a thread hop a request.

Django's own ASGI handler spends most of a small request on hops between threads, for signals, for
middleware and for closing connections. Nothing of that is needed where the view is async and
leaves the database to a thread of its own: the views of the lane must not touch the ORM.
"""

import io
import re
from collections.abc import MutableMapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpResponse

from callcenter.limits import App, Receive, Send
from calls.api.errors import JsonErrors

LANE = re.compile(r"/v1/(?:packets|call/stream/[^/]+)")


class IngestLane(ASGIHandler):
    def load_middleware(self, is_async: bool = True) -> None:
        """None but the one that answers errors as JSON: the lane knows no session and no page."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        respond = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
        self._chain: Any = JsonErrors(respond)
        self._middleware_chain = self._chain

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Answers a request whose body arrives whole and bounded, as `BodyLimit` hands it on."""
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        request = ASGIRequest(scope, io.BytesIO(message.get("body", b"")))
        await _send(await self._chain(request), send)


async def _send(response: HttpResponse, send: Send) -> None:
    content = response.content
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    headers.append((b"content-length", b"%d" % len(content)))
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": content})


class Doors:
    """Packets to the lane, everything else to Django."""

    def __init__(self, lane: App, django: App) -> None:
        self.lane, self.django = lane, django

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        is_packet = scope["type"] == "http" and LANE.fullmatch(scope["path"])
        await (self.lane if is_packet else self.django)(scope, receive, send)
