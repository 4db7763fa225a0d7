"""What pages and programs record, and the page on which staff read it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from calls.models import Audit, Call, Move
from calls.models.audit import Verb
from calls.records.audit import record
from dashboard import audit_trail
from dashboard.audit_trail import AuditFilters, Row
from tests.dashboard.outcomes import REFUSED, finish_run, transcribed_call
from tests.dashboard.people import signed_in, user_with
from tests.factories import NOW, api_key, ended_call, fresh_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("anna"))
    return client


def recorded() -> list[tuple[Any, ...]]:
    rows = Audit.objects.exclude(verb=Verb.KEY_CREATED).order_by("pk")
    return list(rows.values_list("actor", "verb", "call_id"))


def shown(query: str = "") -> list[Row]:
    rows: list[Row] = signed_in("view_audit").get(f"/audit/{query}").context["page"].rows
    return rows


def note(verb: Verb = Verb.OPENED, *, at: datetime = NOW, **fields: str) -> None:
    record(**{"actor": "user anna", "call_id": fresh_id()} | fields, verb=verb, now=at)


def test_to_open_a_call_is_recorded_once_however_often_it_is_reloaded(anna: Client) -> None:
    call = ended_call()
    for _ in range(3):
        anna.get(f"/calls/{call.call_id}/")
    anna.get("/calls/unknown/")
    assert recorded() == [("user anna", "opened", call.call_id)]


def test_what_is_done_on_the_page_is_recorded_and_what_is_refused_is_not(anna: Client) -> None:
    call = transcribed_call()
    for action in ("reprocess", "archive"):
        anna.post(f"/calls/{call.call_id}/{action}")
    assert recorded() == [("user anna", "reprocessed", call.call_id)]


def test_who_may_not_and_tries_by_hand_is_recorded() -> None:
    user, call = user_with("view_call"), transcribed_call()
    client = Client()
    client.force_login(user)
    for _ in range(2):
        assert client.post(f"/calls/{call.call_id}/archive").status_code == 403
    assert recorded() == [(f"user {user}", "refused", call.call_id)] * 2
    assert Audit.objects.first().detail == f"POST /calls/{call.call_id}/archive"  # type: ignore[union-attr]


def test_what_a_key_does_is_recorded_under_its_name() -> None:
    secret = api_key("manage")
    call = finish_run(ended_call(), REFUSED)
    for action in ("archive", "archive", "reprocess"):
        Client().post(
            f"/v1/call/{call.call_id}/{action}", headers={"authorization": f"Bearer {secret}"}
        )
    [(actor, verb, call_id)] = recorded()
    assert actor.startswith("key test (")
    assert (verb, call_id) == ("archived", call.call_id)


def test_to_read_all_of_a_call_with_a_key_is_to_open_it() -> None:
    headers, call = {"authorization": f"Bearer {api_key('read')}"}, transcribed_call()
    for path in ("", "", "/status"):
        answer = Client().get(f"/v1/call/{call.call_id}{path}", headers=headers)
        assert answer.status_code == 200
    assert Client().get("/v1/call/unknown", headers=headers).status_code == 404
    [(actor, verb, call_id)] = recorded()
    assert actor.startswith("key test (")
    assert (verb, call_id) == ("opened", call.call_id)


def test_moves_and_records_stand_together_newest_first() -> None:
    call = finish_run(ended_call(), REFUSED)
    note(Verb.OPENED, at=NOW + timedelta(seconds=1, milliseconds=500), call_id=call.call_id)
    rows = shown()
    assert [row.verb for row in rows] == ["Moved", "Opened", "Moved", "Moved"]
    assert rows[0].detail.startswith("Processing AI → Failed: run 1")
    assert {row.call_id for row in rows} == {call.call_id}


def test_every_row_is_on_one_page_only_also_at_the_same_instant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_trail, "PAGE", 2)
    for _ in range(3):
        finish_run(ended_call(), REFUSED)
        note(at=NOW)
    every = Audit.objects.count() + Move.objects.count()
    seen, cursor = [], ""
    while True:
        page = audit_trail.page(AuditFilters(), cursor)
        seen += [row.place for row in page.rows]
        if not page.more:
            break
        cursor = str(page.rows[-1].place)
    assert len(seen) == len(set(seen)) == every
    assert seen == sorted(seen, reverse=True)


def test_rows_are_filtered_by_person_call_and_verb() -> None:
    call = finish_run(ended_call(), REFUSED)
    note(Verb.OPENED, call_id=call.call_id)
    note(Verb.PLAYED, actor="user bert")
    assert [row.verb for row in shown("?person=bert")] == ["Played"]
    assert [row.verb for row in shown("?person=user+bert")] == ["Played"]
    assert {row.actor for row in shown("?person=worker")} == {"worker"}
    assert len(shown(f"?call={call.call_id}")) == 4
    assert [row.verb for row in shown(f"?call={call.call_id}&verb=opened")] == ["Opened"]
    assert {row.verb for row in shown("?verb=moved")} == {"Moved"}
    assert shown("?person=ann") == []


@pytest.mark.parametrize(
    "query",
    [
        "?cursor=x",
        "?cursor=99999999999999999-0-1",
        "?cursor=1-2-3",
        "?verb=x&call=%00",
        "?person=%00",
    ],
)
def test_nonsense_in_the_address_does_no_harm(query: str) -> None:
    note()
    assert signed_in("view_audit").get(f"/audit/{query}").status_code == 200


def test_what_was_recorded_outlives_the_call_and_the_person(anna: Client) -> None:
    call = ended_call()
    anna.get(f"/calls/{call.call_id}/")
    Call.objects.all().delete()
    User.objects.filter(username="anna").delete()
    assert [(row.actor, row.verb, row.call_id) for row in shown()] == [
        ("user anna", "Opened", call.call_id)
    ]


def test_only_who_may_see_the_audit_sees_it() -> None:
    assert Client().get("/audit/").status_code == 302
    assert signed_in("view_call").get("/audit/").status_code == 403
    assert "/audit/" not in signed_in("view_call").get("/").content.decode()
    assert "/audit/" in signed_in("view_call", "view_audit").get("/").content.decode()


def test_an_empty_audit_says_what_would_appear() -> None:
    client = signed_in("view_audit")
    assert "Nothing yet" in client.get("/audit/").content.decode()
    assert "Nothing fits" in client.get("/audit/?person=nobody").content.decode()
    assert "nothing older" in client.get("/audit/?cursor=1-0-1").content.decode()


def test_what_comes_from_outside_is_escaped() -> None:
    note(actor="key <script>alert(1)</script> (abc)")
    page = signed_in("view_audit").get("/audit/").content.decode()
    assert "<script>alert" not in page


def test_a_long_page_costs_as_many_queries_as_a_short_one(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(5):
        finish_run(ended_call(), REFUSED)
        note()
    client = signed_in("view_audit")
    with django_assert_max_num_queries(8):
        client.get("/audit/")
