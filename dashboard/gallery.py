"""Pages as they are, each painted once for all who want it at the same moment."""

import asyncio
import time
from datetime import datetime

from django.utils import timezone

from calls.api.socket import in_database
from dashboard.painting import Painting
from dashboard.screens import Screen
from dashboard.shared import Shared

_paintings = Shared(size=256)
_under_way: dict[Screen, tuple[float, asyncio.Future[Painting]]] = {}


def painting(screen: Screen, *, now: datetime, since: float) -> Painting:
    """The page as it was at `since` (`time.monotonic`) or later.

    Raises `Call.DoesNotExist` where there is nothing to show any more.
    """
    return _paintings.get(screen, lambda: screen.paint(now=now, since=since), since=since)


async def painting_for_socket(screen: Screen, since: float) -> Painting:
    """The same; a hundred sockets that wait for one page go to a thread once."""
    ready: Painting | None = _paintings.fresh(screen, since=since)
    if ready is not None:
        return ready
    began, making = _under_way.get(screen, (float("-inf"), None))
    if making is None or began < since:
        making = _begin(screen)
    # Whoever leaves must not take it from the others.
    return await asyncio.shield(making)


def _begin(screen: Screen) -> asyncio.Future[Painting]:
    now = time.monotonic()
    making = asyncio.ensure_future(_make(screen, now))
    begun = _under_way[screen] = (now, making)

    def forget(_: asyncio.Future[Painting]) -> None:
        if _under_way.get(screen) is begun:
            del _under_way[screen]

    making.add_done_callback(forget)
    return making


async def _make(screen: Screen, since: float) -> Painting:
    return await in_database(painting)(screen, now=timezone.now(), since=since)
