"""Style, scripts and pictures of the pages, served by the web process itself."""

from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise without its two warnings: of files that it streams, which Django reads as a whole
    under ASGI anyway, and of a STATIC_ROOT that nothing has been collected into.
    """

    def add_files(self, root: Any, prefix: str | None = None) -> None:
        if Path(root).is_dir():
            super().add_files(root, prefix)

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        response = HttpResponse(status=int(found.status))
        del response["Content-Type"]
        if found.file is not None:
            with found.file:
                response.content = found.file.read()
        for name, value in found.headers:
            response[name] = value
        return response
