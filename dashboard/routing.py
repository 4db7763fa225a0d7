"""The addresses of the pages' sockets."""

from typing import Any

from django.urls import path

from dashboard.consumers import AdminConsumer, BoardConsumer

routes: list[Any] = [
    path("ws/board", BoardConsumer.as_asgi()),
    path("ws/admin", AdminConsumer.as_asgi()),
]
