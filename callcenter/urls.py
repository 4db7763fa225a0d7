"""The addresses of everything that is not a socket."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, re_path

from callcenter.health import health
from calls.api.routes import api


def docs(request: HttpRequest) -> HttpResponse:
    """The API, browsable."""
    return api.docs.render_page(request, api)


def nothing(request: HttpRequest) -> HttpResponse:
    raise Http404


urlpatterns = [
    path("v1/", api.urls),
    re_path(r"^v1(/.*)?$", nothing),
    path("docs", docs, name="docs"),
    path("health", health, name="health"),
    path("admin/", admin.site.urls),
]
