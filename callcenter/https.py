"""Production speaks HTTPS: plain HTTP is answered on this machine itself alone."""

import re
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost, MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect

# The names under which browsers, too, trust plain HTTP: nothing leaves the machine.
THIS_MACHINE = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?")
# Programs follow no redirect with what they post, and a probe must not leave its machine.
PROGRAMS = re.compile(r"/v1/|/pbx/|/health\Z|/metrics\Z")


class HttpsOnly:
    """Redirects pages to HTTPS; on this machine, cookies may go without it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not settings.PRODUCTION:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.is_secure() or PROGRAMS.match(request.path):
            return self.get_response(request)
        try:
            host = request.get_host()
        except DisallowedHost:
            return self.get_response(request)
        if not THIS_MACHINE.fullmatch(host):
            return HttpResponsePermanentRedirect(f"https://{host}{request.get_full_path()}")
        response = self.get_response(request)
        for cookie in response.cookies.values():
            cookie["secure"] = ""
        return response
