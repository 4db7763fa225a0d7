"""What changed, heard once a process and passed on to all its sockets."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from redis import RedisError

from calls import events

log = logging.getLogger(__name__)

SUBSCRIBED_WITHIN = 1.0  # seconds; without Redis a socket opens and hears nothing for now
AGAIN_AFTER = 1.0  # seconds

Changes = list[dict[str, Any]]
Listener = Callable[[Changes], None]


class News:
    """Of one event loop. It listens while somebody listens to it."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._subscribed = asyncio.Event()
        self._hearing: asyncio.Task[None] | None = None

    async def join(self, listener: Listener) -> None:
        """What is announced after this comes to the listener, which must be quick."""
        self._listeners.add(listener)
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._subscribed.wait(), SUBSCRIBED_WITHIN)

    async def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._hearing:
            hearing, self._hearing = self._hearing, None
            self._subscribed.clear()
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear(self) -> None:
        while True:
            try:
                await self._pass_on()
            except (RedisError, OSError) as error:
                log.warning("sockets hear of no changes until Redis is back: %s", error)
                await asyncio.sleep(AGAIN_AFTER)

    async def _pass_on(self) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(events.GROUP, channel)
        self._subscribed.set()
        try:
            while True:
                message = await layer.receive(channel)
                for listener in tuple(self._listeners):
                    listener(message["calls"])
        finally:
            with suppress(RedisError, OSError):
                await layer.group_discard(events.GROUP, channel)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, News] = WeakKeyDictionary()


def news() -> News:
    """Of the running event loop."""
    return _by_loop.setdefault(asyncio.get_running_loop(), News())
