"""What our sockets have in common."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

# Few enough that a hundred sockets opened at once leave the other requests their connections.
THREADS = ThreadPoolExecutor(4, thread_name_prefix="sockets")


def in_database(function: Callable[Given, Answer]) -> Callable[Given, Awaitable[Answer]]:
    """The function in one of the threads in which all sockets of a process ask the database."""
    threaded = database_sync_to_async(function, thread_sensitive=False, executor=THREADS)
    return cast(Callable[Given, Awaitable[Answer]], threaded)


class Socket(AsyncWebsocketConsumer):  # type: ignore[misc]
    channel_layer_alias = None  # what changes is heard through `news`

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handles a message in the event loop.

        Channels would go to a thread before each to close old connections there; the database is
        asked through `in_database` alone, which does so itself.
        """
        await getattr(self, get_handler_name(message))(message)
