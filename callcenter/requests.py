"""Every request has an id, and at most one line in the log."""

import itertools
import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from callcenter.limits import App, Message, Receive, Send
from calls import context, tracing
from calls.context import About

HEADER = b"x-request-id"
GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")
INGEST = "/v1/call/stream/"
BULK = "/v1/packets"
QUIET = ("/health", "/metrics", "/static/", "/favicon.ico")

log = logging.getLogger(__name__)

# The processes and machines differ in the first half, the requests of one in the second.
_process = secrets.token_hex(4)
_numbers = itertools.count(1)


class Requests:
    """ASGI: takes the id that a request brought, or makes one, and sends it back.

    Packets that were taken have no line, for they are counted (callcenter/metrics); those refused
    for one reason have one a second.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._sampled: dict[int, tuple[int, int]] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        about = About(_id_of(scope["headers"]), path)
        context.begin(about)
        status, began = 0, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (HEADER, about.request_id.encode()),
                ]
            await send(message)

        try:
            if tracing.ON:
                with _traced(scope, about) as span:
                    await self.app(scope, receive, answer)
                    _note_status(span, status)
            else:
                await self.app(scope, receive, answer)
        finally:
            if status != 202 or not is_ingest(path):
                self._tell(scope, about, status, time.perf_counter() - began)

    def _tell(
        self, scope: MutableMapping[str, Any], about: About, status: int, seconds: float
    ) -> None:
        path: str = scope["path"]
        # Who answers 500 has told why.
        if status == 500 or (status < 400 and path.startswith(QUIET)):
            return
        suppressed = self._suppressed(status) if is_ingest(path) else 0
        if suppressed is None:
            return
        method = scope.get("method", "WEBSOCKET")
        told = {
            "method": method,
            "path": path[:300],
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
            "why": about.why,
            "suppressed": suppressed,
        }
        level = logging.WARNING if status >= 500 else logging.INFO
        words = f"{status or 'closed'} {about.why}".strip()
        more = f" (and {suppressed} more like it)" if suppressed else ""
        log.log(level, "%s %s: %s%s", method, path[:300], words, more, extra=told)

    def _suppressed(self, status: int) -> int | None:
        """How many lines like this were left out before it; None where it is left out itself."""
        second, count = self._sampled.get(status, (0, 0))
        now = int(time.monotonic())
        if now == second:
            self._sampled[status] = (second, count + 1)
            return None
        self._sampled[status] = (now, 0)
        return count


def _traced(scope: MutableMapping[str, Any], about: About) -> AbstractContextManager[Any]:
    """The name is the same for all calls, so that it can be counted by."""
    method, call_id = scope.get("method", "WEBSOCKET"), about.call_id
    path = scope["path"]
    route = path.replace(call_id, "{call_id}", 1) if call_id else "/".join(path.split("/")[:3])
    attributes = {
        "http.request.method": method,
        "url.path": path[:300],
        "request.id": about.request_id,
    }
    if call_id:
        attributes["call.id"] = call_id
    return tracing.span(
        f"{method} {route}", kind="server", headers=scope["headers"], attributes=attributes
    )


def _note_status(span: Any, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        tracing.failed(span, str(status))


def is_ingest(path: str) -> bool:
    return path.startswith(INGEST) or path == BULK


def _id_of(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == HEADER and GIVEN.fullmatch(value):
            return value.decode()
    return f"{_process}-{next(_numbers):x}"
