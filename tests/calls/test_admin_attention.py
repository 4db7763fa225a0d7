"""The admin's pages of alerts, phrases and the audit."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from calls.models import Alert, Audit, Phrase
from calls.models.audit import Verb
from calls.records import phrases
from calls.records.alerts import raise_due
from calls.records.audit import record
from tests.calls.test_admin import staff_with
from tests.dashboard.outcomes import REFUSED, finish_run, transcribed_call
from tests.factories import NOW, ended_call

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def a_row_of(model: str) -> Alert | Audit:
    """The newest of several."""
    for number in range(4):
        finish_run(ended_call(), REFUSED)
        record(actor=f"user {number}", verb=Verb.OPENED, call_id="c-1", now=NOW)
    raise_due(now=NOW + timedelta(hours=1))
    newest = (Alert if model == "alert" else Audit).objects.order_by("-pk").first()
    assert isinstance(newest, (Alert, Audit))
    return newest


@pytest.mark.parametrize("model", ["alert", "audit"])
def test_alerts_and_audit_are_shown_and_stay_as_they_are(
    client: Client, model: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    row = a_row_of(model)
    with django_assert_max_num_queries(12):
        page = client.get(f"/admin/calls/{model}/").content.decode()
    assert f"/admin/calls/{model}/{row.pk}/change/" in page
    assert client.get(f"/admin/calls/{model}/{row.pk}/change/").status_code == 200
    for path in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
        assert client.post(f"/admin/calls/{model}/{path}").status_code == 403


def test_alerts_lead_to_their_call_and_are_found_by_what_became_of_them(client: Client) -> None:
    newest = a_row_of("alert")
    assert isinstance(newest, Alert)
    ended = {"acknowledged": "acknowledged_at", "over": "resolved_at"}
    rows = dict(zip(("open", *ended), Alert.objects.order_by("pk")[:3], strict=True))
    for standing, field in ended.items():
        by = {"acknowledged_by": "anna"} if standing == "acknowledged" else {}
        Alert.objects.filter(pk=rows[standing].pk).update(**{field: NOW}, **by)
    Alert.objects.exclude(pk__in=[row.pk for row in rows.values()]).delete()
    for standing, row in rows.items():
        answer = client.get(f"/admin/calls/alert/?standing={standing}")
        assert list(answer.context["cl"].queryset) == [row]
        assert f"/admin/calls/call/{row.call_id}/change/" in answer.content.decode()


@pytest.mark.parametrize(("query", "found"), [("q=c-1", 4), ("verb=opened", 4), ("q=c", 0)])
def test_the_audit_is_searched_by_call_and_verb(client: Client, query: str, found: int) -> None:
    a_row_of("audit")
    assert client.get(f"/admin/calls/audit/?{query}").context["cl"].queryset.count() == found


def test_a_phrase_is_added_and_deleted_by_staff(client: Client) -> None:
    client.post("/admin/calls/phrase/add/", {"text": " Cancel  my contract"})
    phrase = Phrase.objects.get()
    assert (phrase.text, phrase.words) == ("Cancel my contract", "cancel my contract")
    assert phrase.added_by == "user root"
    assert "user root" in client.get(f"/admin/calls/phrase/{phrase.pk}/change/").content.decode()
    client.post(f"/admin/calls/phrase/{phrase.pk}/delete/", {"post": "yes"})
    assert not Phrase.objects.exists()


@pytest.mark.parametrize("text", ["", "?!", "x" * 101, "REFUND", "a\0b"])
def test_what_cannot_be_listened_for_is_told_beside_the_field(client: Client, text: str) -> None:
    phrases.add("refund", now=NOW, actor="test")
    answer = client.post("/admin/calls/phrase/add/", {"text": text})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert Phrase.objects.count() == 1


def test_only_who_may_adds_a_phrase() -> None:
    client = staff_with("view_phrase")
    assert client.get("/admin/calls/phrase/").status_code == 200
    assert client.post("/admin/calls/phrase/add/", {"text": "refund"}).status_code == 403
    assert not Phrase.objects.exists()


def test_to_open_a_call_or_its_result_in_the_admin_leaves_a_trace(client: Client) -> None:
    call = transcribed_call()
    for _ in range(2):
        client.get(f"/admin/calls/call/{call.pk}/change/")
        client.get(f"/admin/calls/result/{call.pk}/change/")
    client.get("/admin/calls/call/999999/change/")
    client.get("/admin/calls/call/x/change/")
    rows = Audit.objects.order_by("pk").values_list("actor", "verb", "call_id", "detail")
    assert list(rows) == [
        ("user root", "opened", call.call_id, "in the admin: call"),
        ("user root", "opened", call.call_id, "in the admin: result"),
    ]


def test_keys_made_and_revoked_in_the_admin_are_recorded_with_who_did_it(client: Client) -> None:
    client.post("/admin/calls/apikey/add/", {"name": "pbx", "scopes": ["read"], "rate": ""})
    [key] = [row.detail for row in Audit.objects.all()]
    pk = client.get("/admin/calls/apikey/").context["cl"].queryset.get().pk
    client.post(f"/admin/calls/apikey/{pk}/revoke/")
    rows = list(Audit.objects.order_by("pk").values_list("actor", "verb"))
    assert rows == [("user root", "key_created"), ("user root", "key_revoked")]
    assert "cc_" not in key


def test_who_revokes_a_key_by_hand_without_the_right_is_refused_and_recorded(
    client: Client,
) -> None:
    client.post("/admin/calls/apikey/add/", {"name": "pbx", "scopes": ["read"], "rate": ""})
    pk = client.get("/admin/calls/apikey/").context["cl"].queryset.get().pk
    assert staff_with("view_apikey").post(f"/admin/calls/apikey/{pk}/revoke/").status_code == 403
    row = Audit.objects.get(verb=Verb.REFUSED)
    assert row.detail == f"POST /admin/calls/apikey/{pk}/revoke/"
