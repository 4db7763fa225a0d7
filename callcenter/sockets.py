"""The addresses of the sockets."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path, re_path

from calls.api.consumers import DashboardConsumer, SupervisorConsumer
from dashboard.routing import routes as pages

NOT_FOUND = 4404


class NoSuchSocket(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A wrong address is told so, instead of failing on our side."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(code=NOT_FOUND)


routes: list[Any] = [
    path("ws/dashboard", DashboardConsumer.as_asgi()),
    path("ws/supervisor", SupervisorConsumer.as_asgi()),
    *pages,
    re_path(r"", NoSuchSocket.as_asgi()),
]
