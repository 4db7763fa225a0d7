"""The address of the pages' socket."""

from typing import Any

from django.urls import path

from dashboard.consumers import BoardConsumer

routes: list[Any] = [path("ws/board", BoardConsumer.as_asgi())]
