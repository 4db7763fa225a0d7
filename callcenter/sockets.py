"""The addresses of the sockets."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path, re_path

from callcenter.limits import App
from calls.api.consumers import DashboardConsumer, SupervisorConsumer
from calls.api.pbx.doors import Pbx
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


class PbxFirst:
    """ASGI: the sockets of PBXs need neither session nor consumer."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._pbx = Pbx()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._pbx if scope["path"].startswith("/pbx/") else self._app
        await app(scope, receive, send)
