"""Addresses of pages with anything in their queries: an answer, and never an error of ours."""

import os
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django import forms
from django.db import transaction
from django.http.cookie import SimpleCookie
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.attention import AlertFilterForm
from dashboard.audit_trail import AuditFilterForm
from dashboard.filters import FilterForm
from tests.access.people import Who, World, make_world

pytestmark = pytest.mark.django_db

EXAMPLES = 3000 if os.environ.get("LOAD") == "long" else 150
FORMS: tuple[type[forms.Form], ...] = (FilterForm, AlertFilterForm, AuditFilterForm)
OF_THE_ADMIN = (
    "q", "o", "p", "e", "all", "_popup", "_to_field", "_changelist_filters", "state__exact",
    "state__in", "held__exact", "created_at__year", "created_at__month", "created_at__day",
    "last_packet", "tried", "packets", "queue", "verb__exact", "kind__exact", "job__call",
    "standing", "answer", "is_staff__exact", "date_joined__year", "pk__in", "id",
)  # fmt: skip
NAMES = sorted(
    {*OF_THE_ADMIN, "cursor", "page", "format", "next", "call", "calls"}
    | {name for form in FORMS for name in form.base_fields}
)
PATHS = (
    "/", "/charts", "/alerts/", "/audit/", "/login/", "/calls/{call}/",
    "/calls/{call}/transcript", "/calls/{call}/waveform", "/admin/", "/admin/login/",
    "/admin/auth/user/", "/admin/auth/group/", "/admin/autocomplete/", "/admin/jsi18n/",
    *(f"/admin/calls/{model}/" for model in (
        "alert", "apikey", "attempt", "audit", "call", "deletion", "job", "move", "phrase",
        "result",
    )),
    "/admin/calls/call/{pk}/change/", "/admin/calls/call/{pk}/history/",
    "/admin/calls/call/{text}/change/", "/admin/r/{text}/{text}/", "/calls/{text}/",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([
        "", "\0", "a\0b", "-1", "0", "1", "9" * 18, "9" * 40, "1e400", "nan", "1,2,3", "None",
        "2026-02-30", "0000-00-00", "99999", "2026-02-03T12:00:00Z", "\ud83d\ude00", "٣",
        "' OR 1=1 --", "%", "True", "../..", "[]", "{}", "-or-\"", "\x02", "x" * 5000,
        "\r\nX: y", "//evil.example",
    ]),
    st.integers().map(str),
    st.text(max_size=30),
)  # fmt: skip
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)


@pytest.fixture
def world() -> World:
    return make_world()


def test_no_query_makes_a_page_fail(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    client = Client(raise_request_exception=True)
    client.cookies = SimpleCookie(world.headers[Who.ADMIN]["Cookie"])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(PATHS), QUERIES, VALUES)
    def ask(path: str, query: list[tuple[str, str]], text: str) -> None:
        names: dict[str, Any] = {"call": world.call.call_id, "pk": world.call.pk}
        names["text"] = quote(text, errors="surrogatepass")
        address = f"{path.format(**names)}?{urlencode(query, errors='surrogatepass')}"
        with transaction.atomic():
            assert client.get(address).status_code < 500

    ask()
