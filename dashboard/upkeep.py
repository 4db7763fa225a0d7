"""Keeps what one browser shows equal to the database.

Announcements only wake it up. What is sent is the difference between the page as the browser has
it and the page as it is now, so an announcement lost, doubled or overtaken costs no more than
`REFRESH` seconds, and a new socket is told everything. One message is under way at a time: a
browser that does not read is sent nothing, and all at once when it reads again.
"""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from typing import Any, Never

from django.utils import timezone

from dashboard.painting import BLANK, Painting, written
from dashboard.screens import Screen

PAUSE = 0.35  # seconds between looks at least: four messages in any second at most
SHARE = 0.005  # seconds that each open page of the process adds, where there are many
REST = 4.0  # times what the last painting took, where that is longer
REFRESH = 2.0  # seconds between looks at the database at most
HEARTBEAT = 5.0  # seconds between messages at most
READ_WITHIN = 60.0  # seconds from a message to its acknowledgement
TRUSTED_FOR = 15.0  # seconds until the viewer's login and rights are read again


class Upkeep:
    """`admit` answers the screen to show, or raises; `paint` paints it as it was at a moment
    (`time.monotonic`) or later; `tell` sends one message; `announced` answers whether changes are
    announced, else the page changes only every `REFRESH` seconds and its browser is told so.
    """

    _open = 0  # pages of this process

    def __init__(
        self,
        admit: Callable[[], Awaitable[Screen]],
        paint: Callable[[Screen, float], Awaitable[Painting]],
        tell: Callable[[str], Awaitable[None]],
        announced: Callable[[], bool] = lambda: True,
    ) -> None:
        self._admit, self._paint, self._tell = admit, paint, tell
        self._announced, self._told_announced = announced, True
        self._screen: Screen | None = None
        self._held, self._number = BLANK, 0
        self._news, self._read = asyncio.Event(), asyncio.Event()
        self._news_at = time.monotonic()
        self._admitted_at = self._told_at = float("-inf")

    def changed(self, call_ids: Set[str]) -> None:
        """Some calls have changed."""
        if self._screen is None or self._screen.concerned_by(call_ids):
            self.look_again()

    def look_again(self) -> None:
        """Something has changed, nobody knows what."""
        self._news_at = time.monotonic()
        self._news.set()

    def acknowledge(self, number: int) -> None:
        """The browser has painted a message."""
        if number == self._number:
            self._read.set()

    async def run(self) -> Never:
        """Until cancelled, or until `admit`, the screen or the browser fails."""
        Upkeep._open += 1
        try:
            while True:
                took = await self._look(await self._admitted())
                # A page that is dear to paint is painted less often.
                await asyncio.sleep(_until_turn(max(SHARE * Upkeep._open, REST * took)))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), REFRESH - PAUSE)
        finally:
            Upkeep._open -= 1

    async def _admitted(self) -> Screen:
        if self._screen is None or time.monotonic() - self._admitted_at > TRUSTED_FOR:
            self._screen = await self._admit()
            self._admitted_at = time.monotonic()
        return self._screen

    async def _look(self, screen: Screen) -> float:
        """Paints the page and sends what changed; the seconds that the painting took."""
        self._news.clear()
        began = time.monotonic()
        # Without news, what another socket saw half a refresh ago is good enough.
        painting = await self._paint(screen, max(self._news_at, began - REFRESH / 2))
        took = time.monotonic() - began
        changes = written(self._held, painting)
        announced = self._announced()
        due = time.monotonic() - self._told_at > HEARTBEAT
        if changes or due or announced != self._told_announced:
            await self._send(changes, announced=announced)
            self._held, self._told_announced = painting, announced
        return took

    async def _send(self, changes: str, *, announced: bool) -> None:
        self._number += 1
        self._read.clear()
        head: dict[str, Any] = {"n": self._number, "at": timezone.now().isoformat()}
        if not announced:
            head["unannounced"] = True
        members = [json.dumps(head)[1:-1], *([changes] if changes else [])]
        async with asyncio.timeout(READ_WITHIN):
            await self._tell(f"{{{', '.join(members)}}}")
            await self._read.wait()
        self._told_at = time.monotonic()


def _until_turn(pause: float) -> float:
    """Seconds until all pages that rest so long look again.

    They look at the same moment: so they see one painting, and what changed is written out once.
    """
    length = PAUSE * max(1, math.ceil(pause / PAUSE))
    return length - time.monotonic() % length
