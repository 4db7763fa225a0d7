"""A strict Content-Security-Policy on every answer: no inline script or style, nothing foreign."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponseBase

HEADER = "Content-Security-Policy"
POLICY = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'{sockets}; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class ContentSecurityPolicy:
    """Leaves alone what a view set itself."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], object]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> object:
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseBase):
            return _with_policy(request, answer)
        return self._later(request, answer)  # type: ignore[arg-type]

    async def _later(
        self, request: HttpRequest, answer: Awaitable[HttpResponseBase]
    ) -> HttpResponseBase:
        return _with_policy(request, await answer)


def _with_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault(HEADER, POLICY.format(sockets=_sockets(request)))
    return response


def _sockets(request: HttpRequest) -> str:
    """Older browsers do not count a socket on the same host as 'self'."""
    try:
        host = request.get_host()
    except DisallowedHost:
        return ""
    return f" ws://{host} wss://{host}"
