"""What watches a process calls it by its own address, which stands in no ALLOWED_HOSTS."""

from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponseBase

from callcenter.health import health
from callcenter.metrics.view import metrics

View = Callable[[HttpRequest], HttpResponseBase]
WATCHED: Mapping[str, View] = {"/health": health, "/metrics": metrics}


class AtTheDoor:
    """Middleware: these answer under any name."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return WATCHED.get(request.path, self.get_response)(request)
