"""Every address and everybody: who is let in where, read from the resolver, told in one table.

Let in: anything but 401, 403, 404, 405 and the way to a login. What a refused request must not do
is change anything; what a session's POST must not do is without its token.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.http.cookie import SimpleCookie
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from callcenter.asgi import application
from tests.access.people import Who, World, fingerprint, make_world
from tests.factories import SPEECHLESS

pytestmark = pytest.mark.django_db(transaction=True)

ALL = frozenset(Who)
NONE: frozenset[Who] = frozenset()
INGEST, READ, MANAGE = ({Who.INGEST_KEY}, {Who.READ_KEY}, {Who.MANAGE_KEY})
LOGGED_IN = {Who.STRANGER, Who.SUPERVISOR, Who.TRUSTED, Who.STAFF, Who.ADMIN}
SEE = LOGGED_IN - {Who.STRANGER}
ACT = {Who.TRUSTED, Who.ADMIN}
STAFF = {Who.STAFF, Who.ADMIN}
ADMIN = {Who.ADMIN}

Row = dict[str, Iterable[Who]]


def model(
    label: str,
    *,
    see: Iterable[Who] = ADMIN,
    add: Iterable[Who] = NONE,
    change: Iterable[Who] = NONE,
    delete: Iterable[Who] = NONE,
) -> dict[str, Row]:
    """The admin's pages of a model."""
    base = f"admin/{label.replace('.', '/')}/"
    one = f"{base}<path:object_id>/"
    return {
        base: {"GET": see, "POST": see},  # what actions do is looked at below
        f"{base}add/": {"GET": add, "POST": add},
        f"{one}history/": {"GET": see, "POST": see},
        f"{one}delete/": {"GET": delete, "POST": delete},
        f"{one}change/": {"GET": see, "POST": change},
        one: {"GET": STAFF, "POST": STAFF},  # leads to the page of the change
    }


SELDOM = ("PUT", "HEAD", "PATCH", "DELETE")
METHODS = ("GET", "POST", *SELDOM)

# A method that a row does not name lets nobody in.
ROUTES: dict[str, Row] = {
    # Programs, by their key alone.
    "v1/call/stream/<call_id>": {"POST": INGEST},
    "v1/packets": {"POST": INGEST},
    "v1/call/<call_id>": {"PUT": INGEST, "GET": READ},
    "v1/call/<call_id>/end": {"POST": INGEST},
    "v1/call/<call_id>/status": {"GET": READ},
    "v1/call/<call_id>/transcript": {"GET": READ},
    "v1/call/<call_id>/recording": {"GET": READ},
    "v1/calls": {"GET": READ},
    "v1/call/<call_id>/reprocess": {"POST": MANAGE},
    "v1/call/<call_id>/archive": {"POST": MANAGE},
    "v1/stats": {"GET": READ},
    "v1/openapi.json": {"GET": ALL},
    "v1/": {},
    "^v1(?:/.*)?$": {},
    "^pbx/": dict.fromkeys(METHODS, ALL),  # told to open a socket
    "docs": {"GET": ALL},
    "health": {"GET": ALL},
    "metrics": {"GET": READ},
    # People, by their session alone.
    "": {"GET": SEE},
    "charts": {"GET": SEE},
    "views": {"POST": SEE},
    "views/<int:view_id>/delete": {"POST": {Who.SUPERVISOR}},  # its owner
    "calls/<call_id:call_id>/": {"GET": SEE},
    "calls/<call_id:call_id>/recording": {"GET": SEE},
    "calls/<call_id:call_id>/waveform": {"GET": SEE},
    "calls/<call_id:call_id>/transcript": {"GET": SEE},
    "calls/<call_id:call_id>/reprocess": {"POST": ACT},
    "calls/<call_id:call_id>/archive": {"POST": ACT},
    "alerts/": {"GET": SEE},
    "alerts/acknowledge": {"POST": SEE},
    "audit/": {"GET": ACT},
    "login/": {"GET": ALL, "POST": ALL},
    "logout/": {"POST": ALL},
    # Staff.
    "admin/": {"GET": STAFF, "POST": STAFF},
    "admin/login/": {"GET": ALL, "POST": ALL},
    "admin/logout/": {"GET": ALL - STAFF, "POST": ALL},  # strangers are led to the login
    "admin/password_change/": {"GET": STAFF, "POST": STAFF},
    "admin/password_change/done/": {"GET": STAFF},
    "admin/autocomplete/": {},
    "admin/jsi18n/": {"GET": STAFF},
    "admin/r/<path:content_type_id>/<path:object_id>/": {},
    "admin/^(?P<app_label>)/$": {"GET": STAFF, "POST": STAFF},
    "admin/(?P<url>.*)$": {},
    "admin/auth/user/<id>/password/": {"GET": ADMIN, "POST": ADMIN},
    "admin/calls/apikey/<int:pk>/revoke/": {"POST": ADMIN},
    **model("auth.group", add=ADMIN, change=ADMIN, delete=ADMIN),
    **model("auth.user", add=ADMIN, change=ADMIN, delete=ADMIN),
    **model("calls.alert"),
    **model("calls.apikey", add=ADMIN),
    **model("calls.attempt"),
    **model("calls.audit"),
    **model("calls.call", see=STAFF),
    **model("calls.deletion"),
    **model("calls.job"),
    **model("calls.move"),
    **model("calls.phrase", add=ADMIN, delete=ADMIN),
    **model("calls.result"),
}

# Of the admin, posted by hand.
ACTIONS: dict[str, dict[str, Iterable[Who]]] = {
    "auth.group": {"delete_selected": ADMIN},
    "auth.user": {"delete_selected": ADMIN},
    "calls.apikey": {"revoke_selected": ADMIN},
    "calls.call": dict.fromkeys(
        ("end", "reprocess", "archive_selected", "hold", "release", "export_csv"), ADMIN
    ),
    "calls.phrase": {"delete_selected": ADMIN},
}

APPS = re.compile(r"<app_label>[^)]*\)")
ASK_SELDOM = (Who.NOBODY, Who.READ_KEY, Who.STRANGER)
FORM = {"name": "x", "query": "", "alert": "1", "post": "yes"}
PACKET = {"sequence": 7, "data": SPEECHLESS, "timestamp": 1.5}
BODIES: dict[str, object] = {
    "v1/call/stream/<call_id>": PACKET,
    "v1/packets": {"packets": [PACKET | {"call_id": "let-in"}]},
}
WHAT_TO_ADD = (
    "has no row in ROUTES of tests/access/test_routes.py: add one that says, for each method, who"
    " is let in ({}: nobody)"
)


def routes() -> Iterator[str]:
    def walk(patterns: Iterable[Any], before: str) -> Iterator[str]:
        for pattern in patterns:
            here = f"{before}{pattern.pattern}"
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, here)
            else:
                assert isinstance(pattern, URLPattern)
                yield here

    for route in dict.fromkeys(walk(get_resolver().url_patterns, "")):
        yield APPS.sub("<app_label>)", route)


IN_CODE = list(routes())
PROGRAMS = [r for r in IN_CODE if r.startswith(("v1", "^v1", "^pbx", "docs", "health", "metrics"))]
PAGES = [r for r in IN_CODE if r not in PROGRAMS]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "django.request")
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert not [f"{route!r} {WHAT_TO_ADD}" for route in IN_CODE if route not in ROUTES]
    assert not [f"the row {row!r} belongs to no route" for row in ROUTES if row not in IN_CODE]


def test_every_admin_action_has_a_row() -> None:
    request = RequestFactory().get("/admin/")
    request.user = User(is_active=True, is_superuser=True)
    offered = {
        one.model._meta.label_lower: set(one.get_actions(request))
        for one in admin.site._registry.values()
    }
    assert {label: set(rows) for label, rows in ACTIONS.items()} == {
        label: names for label, names in offered.items() if names
    }, "who may do it? say so in ACTIONS of tests/access/test_routes.py"


def address(route: str, world: World) -> str:
    """The route with the world's objects in it."""
    app, label = [*route.split("/"), "", ""][1:3]
    if "<path:object_id>" in route and "content_type" not in route:
        route = route.replace("<path:object_id>", str(world.a_row_of(f"{app}.{label}").pk))
    values = {
        "<call_id:call_id>": world.call.call_id,
        "<call_id>": world.call.call_id,
        "<int:view_id>": world.view.pk,
        "<int:pk>": world.a_row_of("calls.apikey").pk,
        "<id>": world.a_row_of("auth.user").pk,
        "<path:content_type_id>": world.a_row_of("contenttypes.contenttype").pk,
        "<path:object_id>": world.call.pk,
        "^v1(?:/.*)?$": "v1/nothing",
        "^pbx/": "pbx/asterisk",
        "^(?P<app_label>)/$": "calls/",
        "(?P<url>.*)$": "nothing",
    }
    for name, value in values.items():
        route = route.replace(name, str(value))
    return f"/{route}"


def let_in(status: int, location: str) -> bool:
    to_login = location.startswith(("/login/?", "/admin/login/?"))
    return status not in (401, 403, 404, 405) and not to_login


def may(route: str, method: str, who: Who) -> bool:
    """As the table says; most pages take what is no POST for a GET."""
    row = ROUTES.get(route, {})
    unnamed = "GET" if method == "HEAD" or route in PAGES else method
    return who in row.get(method, row.get(unnamed, NONE) if method != "POST" else NONE)


def wrong(route: str, method: str, who: Who, status: int, location: str = "") -> str | None:
    """What is not as the table says; methods that no row names may be refused to all."""
    expected, found = may(route, method, who), let_in(status, location)
    if status < 500 and (found == expected or (not found and method not in ROUTES.get(route, {}))):
        return None
    said = "lets in" if expected else "does not let in"
    return f"{method} {route!r} by {who}: {status} {location}, but its row {said}"


def requests(these: Iterable[str], *, granted: bool) -> Iterator[tuple[str, str, Who]]:
    """Those that the table lets in, or the others."""
    for route in these:
        for method in METHODS:
            for who in ASK_SELDOM if method in SELDOM and route in PAGES else Who:
                if may(route, method, who) == granted:
                    yield route, method, who


class Browser:
    """One for all, for each would read all static files anew."""

    def __init__(self, world: World, *, csrf: bool = False) -> None:
        self._client = Client(raise_request_exception=False, enforce_csrf_checks=csrf)
        self._world = world
        self._paths = {route: address(route, world) for route in PAGES}

    def visit(self, route: str, method: str, who: Who, form: dict[str, Any] = FORM) -> Any:
        headers = dict(self._world.headers[who])
        self._client.cookies = SimpleCookie(headers.pop("Cookie", ""))
        path = self._paths[route]
        if method == "POST":
            return self._client.post(path, form, headers=headers)
        return self._client.generic(method, path, headers=headers)


def test_pages_let_in_nobody_but_whom_the_table_lets_in_and_change_nothing_for_others() -> None:
    browser, found = Browser(make_world()), []
    before = fingerprint()
    for route, method, who in requests(PAGES, granted=False):
        answer = browser.visit(route, method, who)
        found.append(wrong(route, method, who, answer.status_code, answer.get("Location", "")))
    assert not [words for words in found if words]
    assert fingerprint() == before


def test_pages_let_in_whom_the_table_lets_in_though_not_without_the_token_of_the_session() -> None:
    world, found = make_world(), []
    browser, without_token = Browser(world), Browser(world, csrf=True)
    before = fingerprint()
    for route, method, who in requests(PAGES, granted=True):
        if method == "POST" and who in LOGGED_IN:
            assert without_token.visit(route, method, who).status_code == 403, (route, who)
            assert fingerprint() == before, (route, who)
        with transaction.atomic():  # what was done is taken back
            answer = browser.visit(route, method, who)
            transaction.set_rollback(True)
        found.append(wrong(route, method, who, answer.status_code, answer.get("Location", "")))
    assert not [words for words in found if words]


async def test_programs_are_let_in_as_the_table_says_and_nobody_else() -> None:
    world = await sync_to_async(make_world)()
    before = await sync_to_async(fingerprint)()
    assert not await knock(world, requests(PROGRAMS, granted=False))
    assert await sync_to_async(fingerprint)() == before
    assert not await knock(world, requests(PROGRAMS, granted=True))


async def knock(world: World, these: Iterable[tuple[str, str, Who]]) -> list[str]:
    """Through the whole ASGI application, lane and all; what was not as the table says."""
    paths = {route: await sync_to_async(address)(route, world) for route in PROGRAMS}
    transport = httpx.ASGITransport(application)
    found = []
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for route, method, who in these:
            answer = await client.request(
                method, paths[route], headers=world.headers[who], json=BODIES.get(route, {})
            )
            found.append(wrong(route, method, who, answer.status_code))
    return [words for words in found if words]


@pytest.mark.parametrize("label", [one._meta.label_lower for one in admin.site._registry])
def test_an_admin_action_posted_by_hand_is_done_for_nobody_but_whom_the_table_says(
    label: str,
) -> None:
    world = make_world()
    browser, before = Browser(world), fingerprint()
    rows = [row.pk for row in apps.get_model(label).objects.all()]
    for action in {"delete_selected", *ACTIONS.get(label, {})}:
        for who in {*LOGGED_IN, Who.DISABLED} - {*ACTIONS.get(label, {}).get(action, NONE)}:
            chosen = {"action": action, "_selected_action": rows, "post": "yes"}
            answer = browser.visit(f"admin/{label.replace('.', '/')}/", "POST", who, chosen)
            assert "Content-Disposition" not in answer, f"{action} of {label} by {who}"
        assert fingerprint() == before, f"{action} of {label}"
