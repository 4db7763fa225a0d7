"""The addresses of everything that is not a socket."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja.openapi.views import openapi_json

from callcenter.health import health
from callcenter.metrics.view import metrics
from calls.api.errors import WORDS, problem
from calls.api.pbx.doors import no_upgrade
from calls.api.routes import api


@csrf_exempt
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The API, browsable."""
    return api.docs.render_page(request, api)


@csrf_exempt
@require_safe
def document(request: HttpRequest) -> HttpResponse:
    """ninja's own view takes any method, and would refuse a POST for its missing token."""
    return openapi_json(request, api)


@csrf_exempt
def nothing(request: HttpRequest) -> HttpResponse:
    return problem(404, WORDS[404])


urlpatterns = [
    path("v1/openapi.json", document),
    path("v1/", api.urls),
    re_path(r"^v1(?:/.*)?$", nothing),
    re_path(r"^pbx/", no_upgrade),
    path("docs", docs, name="docs"),
    path("health", health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("", include("dashboard.urls")),
]
