"""The admin: read-only truth, and keys that are made and revoked."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from calls.api.auth import create_key, find_key, revoke_key
from calls.models import ApiKey, Attempt, Call, Job, Move, Result
from tests.dashboard.outcomes import OVERLOADED, finish_run, said
from tests.factories import NOW, api_key, call_in_progress, ended_call, fresh_id

pytestmark = pytest.mark.django_db

READ_ONLY = ["call", "move", "job", "attempt", "result"]
SECRET = re.compile(r"cc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def staff_with(*permissions: str) -> Client:
    user = User.objects.create_user(fresh_id(), is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def story(*texts: str) -> Call:
    """A call with a row in every table."""
    return finish_run(ended_call(), OVERLOADED, said(*(texts or ("thank you",))))


def text(client: Client, path: str) -> str:
    answer = client.get(f"/admin/calls/{path}")
    assert answer.status_code == 200, answer
    return answer.content.decode()


def a_row_of(model: str) -> Any:
    call = story()
    return {
        "call": call,
        "move": Move.objects.first(),
        "job": Job.objects.first(),
        "attempt": Attempt.objects.first(),
        "result": Result.objects.first(),
    }[model]


@pytest.mark.parametrize("year", ["-1", "0", "10000", "9" * 30, "soon"])
@pytest.mark.parametrize("query", ["calls/apikey/?created_at", "auth/user/?date_joined"])
def test_a_year_that_never_was_is_no_error(client: Client, query: str, year: str) -> None:
    answer = client.get(f"/admin/{query}__year={year}", follow=True)
    assert answer.status_code == 200


@pytest.mark.parametrize("model", READ_ONLY)
def test_lists_and_pages_open(client: Client, model: str) -> None:
    row = a_row_of(model)
    assert f"/admin/calls/{model}/{row.pk}/change/" in text(client, f"{model}/")
    assert str(escape(row)) in text(client, f"{model}/{row.pk}/change/")


@pytest.mark.parametrize("model", READ_ONLY)
def test_nothing_can_be_added_changed_or_deleted(client: Client, model: str) -> None:
    row = a_row_of(model)
    page = text(client, f"{model}/{row.pk}/change/")
    for button in ("_save", "_continue", "_addanother", "deletelink"):
        assert button not in page
    for path in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
        assert client.post(f"/admin/calls/{model}/{path}").status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    client.post(f"/admin/calls/{model}/", chosen)
    assert type(row).objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", READ_ONLY)
def test_a_long_list_costs_no_more_queries_than_a_short_one(
    client: Client, model: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(6):
        story()
    text(client, f"{model}/")
    with django_assert_max_num_queries(12):
        text(client, f"{model}/")


@pytest.mark.parametrize("model", ["call", "job", "result"])
def test_a_long_page_costs_no_more_queries_than_a_short_one(
    client: Client, model: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    call = finish_run(ended_call(), *[OVERLOADED] * 5, said(*["yes"] * 20))
    row = {"call": call, "job": call.jobs.get(), "result": call.result}[model]
    with django_assert_max_num_queries(12):
        text(client, f"{model}/{row.pk}/change/")


def test_a_call_is_found_by_its_id_its_agent_and_its_caller(client: Client) -> None:
    call, other = call_in_progress(), call_in_progress()
    Call.objects.filter(pk=call.pk).update(agent="Priya Nair", caller="+447700900100")
    for words in (call.call_id, "priya", "7700900100"):
        found = client.get("/admin/calls/call/", {"q": words}).context["cl"].queryset
        assert call in found
        assert other not in found


@pytest.mark.parametrize(
    "query", ["state__exact=FAILED", "ai_outcome__exact=failed", "end_reason=hangup", "queue=Sales"]
)
def test_calls_can_be_filtered(client: Client, query: str) -> None:
    call_in_progress()
    answer = client.get(f"/admin/calls/call/?{query}")
    assert answer.status_code == 200
    assert len(answer.context["cl"].queryset) == 0


@pytest.mark.parametrize("model", READ_ONLY)
def test_no_list_offers_to_count_the_whole_table(client: Client, model: str) -> None:
    assert "_facets" not in text(client, f"{model}/")
    assert "title-with-count" not in text(client, f"{model}/?_facets=True")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("fine", [200]),
        ("wait", [429]),
        ("refused", [400]),
        ("broken", [503]),
        ("none", [None]),
    ],
)
def test_attempts_are_found_by_what_the_service_answered(
    client: Client, answer: str, found: list[int | None]
) -> None:
    call = finish_run(ended_call(), *[OVERLOADED] * 4, said("thank you"))
    attempts = Attempt.objects.filter(job__call=call).order_by("pk")
    for attempt, status in zip(attempts, (200, 429, 400, 503, None), strict=True):
        Attempt.objects.filter(pk=attempt.pk).update(status=status)
    shown = client.get(f"/admin/calls/attempt/?answer={answer}").context["cl"].queryset
    assert [attempt.status for attempt in shown] == found


@pytest.mark.parametrize("standing", ["good", "expired", "revoked"])
def test_keys_are_found_by_whether_they_are_still_good(client: Client, standing: str) -> None:
    moments = {"good": timedelta(days=1), "expired": -timedelta(days=1), "revoked": timedelta()}
    for name, left in moments.items():
        ends = timezone.now() + left
        key, _ = create_key(name=name, scopes=["read"], now=NOW, expires_at=ends)
        if name == "revoked":
            revoke_key(key, now=NOW, actor="test")
    create_key(name="good", scopes=["read"], now=NOW)
    shown = client.get(f"/admin/calls/apikey/?standing={standing}").context["cl"].queryset
    assert {key.name for key in shown} == {standing}
    assert len(shown) == 1 + (standing == "good")


def test_a_call_leads_to_its_journal_its_runs_its_attempts_and_its_result(client: Client) -> None:
    call = story()
    page = text(client, f"call/{call.pk}/change/")
    assert "run 1: transcribed" in page
    assert f"/admin/calls/job/{call.jobs.get().pk}/change/" in page
    assert f"/admin/calls/result/{call.pk}/change/" in page
    story()
    attempts = client.get(f"/admin/calls/attempt/?job__call={call.pk}").context["cl"].queryset
    assert list(attempts) == list(Attempt.objects.filter(job__call=call).order_by("-pk"))


def test_a_call_without_a_result_has_a_page_too(client: Client) -> None:
    assert ">none<" in text(client, f"call/{call_in_progress().pk}/change/")


def test_words_from_outside_are_escaped(client: Client) -> None:
    call = story("<script>alert(1)</script>")
    assert "<script>alert(1)" not in text(client, f"result/{call.pk}/change/")


def test_the_queue_of_wake_ups_is_no_business_of_staff(client: Client) -> None:
    assert "django_q" not in client.get("/admin/").content.decode()


def test_staff_see_only_what_they_were_given() -> None:
    client, call = staff_with("view_call"), story()
    assert text(client, f"call/{call.pk}/change/")
    for path in ("job/", "attempt/", "result/", "apikey/", "apikey/add/"):
        assert client.get(f"/admin/calls/{path}").status_code == 403


def new_key(client: Client, **fields: object) -> str:
    """What the page says after a key with these fields was asked for."""
    wanted = {"name": "pbx", "scopes": ["ingest", "read"], "rate": ""} | fields
    return client.post("/admin/calls/apikey/add/", wanted, follow=True).content.decode()


def test_a_new_key_works_and_is_shown_once(client: Client) -> None:
    [secret] = set(SECRET.findall(new_key(client, rate="50")))
    key = find_key(secret, now=NOW)
    assert key is not None
    assert (key.name, key.scopes, key.rate) == ("pbx", ["ingest", "read"], 50)
    for path in ("apikey/", f"apikey/{key.pk}/change/", "apikey/"):
        assert not SECRET.search(text(client, path))


def test_the_digest_is_never_shown(client: Client) -> None:
    new_key(client)
    key = ApiKey.objects.get()
    for path in ("apikey/", f"apikey/{key.pk}/change/", f"apikey/{key.pk}/history/"):
        assert key.digest not in text(client, path)


def test_a_key_needs_a_scope_and_a_sensible_rate(client: Client) -> None:
    mistakes: list[dict[str, object]] = [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"rate": "-1"},
        {"name": ""},
    ]
    for wrong in mistakes:
        assert "errorlist" in new_key(client, **wrong)
    assert not ApiKey.objects.exists()


def test_a_key_is_never_changed_or_deleted(client: Client) -> None:
    api_key("read")
    key = ApiKey.objects.get()
    for path in ("change", "delete"):
        fields = {"name": "other", "scopes": ["manage"]}
        assert client.post(f"/admin/calls/apikey/{key.pk}/{path}/", fields).status_code == 403
    assert ApiKey.objects.get().scopes == ["read"]


def test_a_key_may_be_given_an_end_and_it_lies_ahead(client: Client) -> None:
    asked = {
        "name": "pbx",
        "scopes": ["read"],
        "expires_at_0": "2020-01-01",
        "expires_at_1": "0:00",
    }
    refused = client.post("/admin/calls/apikey/add/", asked)
    assert "would never be good" in refused.content.decode()
    client.post("/admin/calls/apikey/add/", asked | {"expires_at_0": "2099-01-01"})
    expires_at = ApiKey.objects.get().expires_at
    assert expires_at is not None
    assert expires_at.year == 2099


def test_the_button_revokes_a_key_for_good(client: Client) -> None:
    secret = api_key("read")
    key = ApiKey.objects.get()
    revoke = f"/admin/calls/apikey/{key.pk}/revoke/"
    assert revoke in text(client, f"apikey/{key.pk}/change/")
    assert client.get(revoke).status_code == 405
    assert "is revoked" in client.post(revoke, follow=True).content.decode()
    assert find_key(secret, now=NOW) is None
    assert LogEntry.objects.get().get_change_message() == "Revoked."
    assert revoke not in text(client, f"apikey/{key.pk}/change/")


def test_selected_keys_are_revoked_together(client: Client) -> None:
    for _ in range(2):
        api_key()
    chosen = {"action": "revoke_selected", "_selected_action": list(_keys())}
    client.post("/admin/calls/apikey/", chosen)
    assert not ApiKey.objects.live(now=timezone.now()).exists()


def test_who_may_only_see_keys_revokes_none() -> None:
    client = staff_with("view_apikey")
    api_key()
    [pk] = _keys()
    assert "/revoke/" not in text(client, f"apikey/{pk}/change/")
    assert client.post(f"/admin/calls/apikey/{pk}/revoke/").status_code == 403
    client.post("/admin/calls/apikey/", {"action": "revoke_selected", "_selected_action": [pk]})
    assert ApiKey.objects.live(now=timezone.now()).exists()


def _keys() -> list[int]:
    return list(ApiKey.objects.values_list("pk", flat=True))
