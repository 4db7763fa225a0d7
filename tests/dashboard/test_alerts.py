"""The alerts above the board and on their own page, and their acknowledgement."""

import time
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from calls.models import Alert, Audit, Call
from calls.models.alert import AlertKind
from calls.records.alerts import acknowledge, raise_due
from dashboard import attention
from dashboard.attention import AlertFilters
from tests.dashboard.outcomes import REFUSED, finish_run, transcribed_call
from tests.dashboard.people import signed_in
from tests.factories import NOW, ended_call

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)
ANGRY = "this is terrible, I hate your horrible company"


@pytest.fixture
def client() -> Client:
    return signed_in("view_call", "acknowledge_alert")


def failed_call() -> Call:
    call = finish_run(ended_call(), REFUSED)
    raise_due(now=LATER)
    return call


def alert_of(call: Call) -> Alert:
    return Alert.objects.get(call=call)


def outage() -> Alert:
    return Alert.objects.create(
        kind=AlertKind.OUTAGE, cause="outage:1", words="The AI service is down.", raised_at=NOW
    )


def strip() -> str:
    return attention.strip(True, since=time.monotonic())


def listed(client: Client, query: str = "") -> list[int]:
    rows = client.get(f"/alerts/{query}").context["painting"].rows
    return [int(element.removeprefix("alert:")) for element in rows]


def test_without_an_alert_the_board_says_that_nothing_is_open(client: Client) -> None:
    transcribed_call()
    assert "Nothing is open" in client.get("/").content.decode()


def test_an_open_alert_is_on_the_board_with_its_words_and_place(client: Client) -> None:
    call = transcribed_call("hello", ANGRY)
    raise_due(now=LATER)
    page = client.get("/").content.decode()
    assert f'href="/calls/{call.call_id}/#t=6"' in page
    assert ANGRY in page
    assert "Strongly negative" in page


def test_an_outage_comes_first_and_then_the_newest() -> None:
    down = outage()
    old, new = failed_call(), failed_call()
    Alert.objects.filter(pk=down.pk).update(resolved_at=None)
    shown = strip()
    places = [shown.index(words) for words in ("AI outage", new.call_id, old.call_id)]
    assert places == sorted(places)


def test_what_is_over_or_acknowledged_leaves_the_strip() -> None:
    call, other = failed_call(), failed_call()
    acknowledge([alert_of(call).pk], now=LATER, actor="user anna")
    Alert.objects.filter(call=other).update(resolved_at=LATER)
    assert "Nothing is open" in strip()


def test_a_long_list_is_cut_and_counted() -> None:
    for _ in range(7):
        failed_call()
    shown = strip()
    assert shown.count("<li") == attention.SHOWN
    assert "<b>7</b> open" in shown
    assert '<a href="/alerts/?standing=open">See them all</a>' in shown


def test_what_was_said_is_escaped() -> None:
    Alert.objects.create(
        kind=AlertKind.OUTAGE, cause="a", words="<script>alert(1)</script>", raised_at=NOW
    )
    assert "<script>" not in strip()


def test_who_may_not_acknowledge_sees_alerts_without_buttons() -> None:
    failed_call()
    client = signed_in("view_call")
    for path in ("/", "/alerts/"):
        page = client.get(path).content.decode()
        assert "Call failed" in page
        assert "Acknowledge" not in page.replace("Acknowledged</option>", "")


def test_an_alert_is_acknowledged_and_the_page_says_so(client: Client) -> None:
    alert = alert_of(failed_call())
    chosen = {"alert": alert.pk, "next": "/?state=FAILED"}
    answer = client.post("/alerts/acknowledge", chosen, follow=True)
    assert answer.redirect_chain == [("/?state=FAILED", 302)]
    assert "The alert is acknowledged." in answer.content.decode()
    alert.refresh_from_db()
    assert alert.acknowledged_by.startswith("user ")
    again = client.post("/alerts/acknowledge", chosen, follow=True).content.decode()
    assert "Somebody else was quicker" in again


def test_the_script_of_the_page_gets_no_page_back(client: Client) -> None:
    alert = alert_of(failed_call())
    answer = client.post("/alerts/acknowledge", {"alert": alert.pk}, headers={"x-live": "1"})
    assert answer.status_code == 204
    assert not Alert.objects.open().exists()
    assert client.post("/alerts/acknowledge", headers={"x-live": "1"}).status_code == 400


def test_many_are_acknowledged_together(client: Client) -> None:
    pks = [alert_of(failed_call()).pk for _ in range(3)]
    page = client.get("/alerts/").content.decode()
    assert "Acknowledge all 3" in page
    answer = client.post("/alerts/acknowledge", {"alert": pks}, follow=True)
    assert "3 alerts are acknowledged." in answer.content.decode()


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/", "//evil.example", "", "javascript:x"]
)
def test_nobody_is_sent_to_a_foreign_page(client: Client, next_page: str) -> None:
    answer = client.post("/alerts/acknowledge", {"alert": "1", "next": next_page})
    assert answer["Location"] == "/alerts/"


@pytest.mark.parametrize("wrong", ["", "x", "-1", "1" * 40, "²", "1.5"])
def test_nonsense_acknowledges_nothing(client: Client, wrong: str) -> None:
    failed_call()
    assert client.post("/alerts/acknowledge", {"alert": wrong}).status_code == 302
    assert Alert.objects.open().count() == 1


def test_who_acknowledges_by_hand_without_the_right_is_refused_and_recorded() -> None:
    alert = alert_of(failed_call())
    client = signed_in("view_call")
    assert client.post("/alerts/acknowledge", {"alert": alert.pk}).status_code == 403
    assert Alert.objects.open().exists()
    assert Audit.objects.get().verb == "refused"


def test_nobody_else_sees_the_page() -> None:
    assert Client().get("/alerts/").status_code == 302
    assert signed_in().get("/alerts/").status_code == 403


def test_an_empty_page_says_what_would_appear(client: Client) -> None:
    assert "No alerts yet" in client.get("/alerts/").content.decode()
    assert "No alert fits" in client.get("/alerts/?kind=phrase").content.decode()
    assert "no alerts on this page" in client.get("/alerts/?page=7").content.decode()


def test_alerts_are_filtered_by_kind_and_standing(client: Client) -> None:
    done, over, open_ = (alert_of(failed_call()).pk for _ in range(3))
    down = outage().pk
    acknowledge([done], now=LATER, actor="user anna")
    Alert.objects.filter(pk=over).update(resolved_at=LATER)
    assert listed(client) == [down, open_, over, done]
    assert listed(client, "?kind=outage") == [down]
    assert listed(client, "?standing=open") == [down, open_]
    assert listed(client, "?standing=acknowledged&kind=failed") == [done]
    assert listed(client, "?standing=over") == [over]
    assert len(listed(client, "?kind=nonsense&standing=%00&page=-3")) == 4


def test_older_alerts_are_on_further_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "PAGE", 2)
    pks = [alert_of(failed_call()).pk for _ in range(3)]
    assert listed(client) == [pks[2], pks[1]]
    assert AlertFilters(page=2).select().count() == 3
    assert listed(client, "?page=2") == [pks[0]]
    assert 'href="?page=1"' in client.get("/alerts/?page=2").content.decode()


def test_many_alerts_cost_no_more_queries_than_few(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(6):
        failed_call()
    with django_assert_max_num_queries(8):
        client.get("/alerts/")
