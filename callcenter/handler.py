"""Django behind ASGI, a request in one thread."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponseBase

# They take no connection of the pool, and must answer while all that do hang.
WITHOUT_A_TURN = {"/health", "/metrics"}
AT_ONCE = 12  # requests; the database has connections for them, the sockets and the writer


@dataclass(frozen=True, slots=True)
class Turns:
    others: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    static: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


class OneThread(ASGIHandler):
    """Takes a request to a thread once, with all that it passes through.

    Django's own chain under ASGI goes to a thread and back for every middleware. Of a rush only
    `AT_ONCE` requests ask for a connection; the others wait for their turn here, where waiting is
    cheap and has no end after a second. Static files have turns of their own: they ask no database,
    and say that the process lives while all the others hang with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: ASGIRequest) -> HttpResponseBase:  # type: ignore[override]
        if request.path in WITHOUT_A_TURN:
            return await self._respond(request)
        turns = self._turns.setdefault(asyncio.get_running_loop(), Turns())
        is_static = request.path.startswith(settings.STATIC_URL)
        async with turns.static if is_static else turns.others:
            return await self._respond(request)

    async def _respond(self, request: ASGIRequest) -> HttpResponseBase:
        response: HttpResponseBase = await sync_to_async(self.get_response)(request)
        return response
