"""The body of a request, piece by piece."""

import asyncio
from contextlib import suppress
from typing import NoReturn

from asgiref.typing import ASGIReceiveCallable

from callcenter.speech.refusal import Refusal


class Disconnected(Exception):
    """The client is gone; nobody waits for an answer."""


class Body:
    """`patience` in seconds for each piece."""

    def __init__(self, receive: ASGIReceiveCallable, patience: float) -> None:
        self._receive, self._patience = receive, patience
        self.ended = False

    async def piece(self) -> bytes:
        """Raises `Disconnected`, `Refusal`."""
        try:
            async with asyncio.timeout(self._patience):
                event = await self._receive()
        except TimeoutError:
            self.ended = True
            raise Refusal(408, f"The upload stood still for {self._patience:.0f} s.") from None
        if event["type"] != "http.request":
            raise Disconnected
        self.ended = not event.get("more_body", False)
        return event.get("body", b"")

    async def drain(self, limit: int) -> None:
        """Read what is left, at most `limit` bytes: many clients look for an answer only then."""
        with suppress(Refusal):
            while not self.ended and limit > 0:
                limit -= len(await self.piece())

    async def gone(self) -> NoReturn:
        """Wait until the client, whose request has ended, goes away. Raises `Disconnected`."""
        while (await self._receive())["type"] == "http.request":
            pass
        raise Disconnected
