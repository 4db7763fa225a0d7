"""What programs are told of calls is kept nowhere on the way, nor by them unasked."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase


class NothingKept:
    """For answers to keys, of which a cache does not know that each key has its own; pages say so
    themselves.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.path.startswith("/v1/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response
