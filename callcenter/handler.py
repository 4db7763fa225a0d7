"""Django behind ASGI, a request in one thread."""

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponseBase


class OneThread(ASGIHandler):
    """Takes a request to a thread once, with all that it passes through.

    Django's own chain under ASGI goes to a thread and back for every middleware.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: ASGIRequest) -> HttpResponseBase:  # type: ignore[override]
        response: HttpResponseBase = await sync_to_async(self.get_response)(request)
        return response
