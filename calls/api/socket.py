"""What our sockets have in common."""

from typing import Any

from asgiref.sync import ThreadSensitiveContext
from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer


class Socket(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        # Without a context of its own, all sockets of a process would share one database thread.
        async with ThreadSensitiveContext():
            return await super().__call__(scope, receive, send)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handles a message in the event loop.

        Channels would go to a thread before each to close old connections there; the database is
        asked through `database_sync_to_async` alone, which does so itself.
        """
        await getattr(self, get_handler_name(message))(message)
