"""The addresses of everything that is not a socket."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from callcenter.health import health
from callcenter.metrics.view import metrics
from calls.api.errors import WORDS, problem
from calls.api.routes import api


def docs(request: HttpRequest) -> HttpResponse:
    """The API, browsable."""
    return api.docs.render_page(request, api)


@csrf_exempt
def nothing(request: HttpRequest) -> HttpResponse:
    return problem(404, WORDS[404])


urlpatterns = [
    path("v1/", api.urls),
    re_path(r"^v1(?:/.*)?$", nothing),
    path("docs", docs, name="docs"),
    path("health", health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("", include("dashboard.urls")),
]
