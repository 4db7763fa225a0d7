"""The board as it is first painted."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from calls.ai import breaker
from calls.ingest import metadata
from calls.models import Call
from calls.records.archive import archive
from dashboard import board
from dashboard.board import Row
from dashboard.filters import Filters
from dashboard.zones import UTC, zone_of
from tests.dashboard.outcomes import (
    OVERLOADED,
    REFUSED,
    ask,
    begin_run,
    finish_run,
    said,
    transcribed_call,
)
from tests.dashboard.people import signed_in, user_with
from tests.factories import NOW, call_in_progress, ended_call, fresh_id, send

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse"


@pytest.fixture
def client() -> Client:
    return signed_in("view_call")


def ids(client: Client, query: str = "") -> list[str]:
    """The calls of the list, in its order."""
    painting = client.get(f"/{query}").context["painting"]
    return [element.removeprefix("call:") for element in painting.rows]


def row(call: Call) -> Row:
    return Row.of(Call.objects.select_related("result").get(pk=call.pk))


def text(client: Client, path: str = "/") -> str:
    return client.get(path).content.decode()


def test_nobody_is_sent_to_the_login_and_back() -> None:
    user, client = user_with("view_call", password=PASSWORD), Client()
    asked = client.get("/?state=FAILED")
    assert asked.status_code == 302
    assert asked["Location"] == "/login/?next=/%3Fstate%3DFAILED"
    login = {"username": user.username, "password": PASSWORD}
    assert client.post(asked["Location"], {**login, "next": "/?state=FAILED"}).status_code == 302
    assert client.get("/?state=FAILED").status_code == 200


def test_a_login_leads_to_the_board() -> None:
    user, client = user_with("view_call", password=PASSWORD), Client()
    answer = client.post("/login/", {"username": user.username, "password": PASSWORD})
    assert answer["Location"] == "/"


def test_a_login_does_not_lead_to_a_strange_site() -> None:
    user, client = user_with("view_call", password=PASSWORD), Client()
    login = {"username": user.username, "password": PASSWORD}
    answer = client.post("/login/", {**login, "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_a_wrong_password_is_told() -> None:
    user, client = user_with("view_call", password=PASSWORD), Client()
    answer = client.post("/login/", {"username": user.username, "password": "wrong"})
    assert answer.status_code == 200
    assert "do not belong together" in answer.content.decode()


def test_a_logout_ends_the_session(client: Client) -> None:
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_a_logout_is_not_a_link(client: Client) -> None:
    assert client.get("/logout/").status_code == 405


def test_without_the_permission_the_page_says_so() -> None:
    answer = signed_in().get("/")
    assert answer.status_code == 403
    assert "Not allowed" in answer.content.decode()


def test_an_empty_board_says_how_to_send_a_packet(client: Client) -> None:
    page = text(client)
    assert "No calls yet" in page
    assert "curl http://testserver/v1/call/stream/" in page


def test_an_empty_search_leads_back_to_all_calls(client: Client) -> None:
    call_in_progress()
    page = text(client, "/?q=nothing-like-this")
    assert "No call fits these filters" in page
    assert "No calls yet" not in page


def test_a_row_shows_what_the_pbx_said(client: Client) -> None:
    call = call_in_progress()
    said_of_it = {"agent": "Priya", "queue": "Billing", "caller": "+44 7700 900100"}
    metadata.describe(call.call_id, said_of_it, now=NOW)
    page = text(client)
    for words in (call.call_id, *said_of_it.values(), "In progress"):
        assert words in page
    assert f'href="/calls/{call.call_id}/"' in page


def test_words_from_outside_are_escaped(client: Client) -> None:
    nasty = "<script>alert(1)</script>"
    metadata.describe(call_in_progress().call_id, {"agent": nasty}, now=NOW)
    page = text(client)
    assert nasty not in page
    assert escape(nasty) in page


def test_a_row_counts_packets_and_what_is_missing() -> None:
    call = call_in_progress(packets=2)
    send(call.call_id, 5)
    shown = row(call)
    assert (shown.packets, shown.missing) == (3, 3)


def test_a_call_in_progress_has_a_pulse_and_no_outcome() -> None:
    shown = row(call_in_progress())
    assert shown.last_packet_at == NOW
    assert (shown.duration, shown.outcome, shown.ai_progress) == (None, None, "")


def test_an_ended_call_has_a_duration_and_no_pulse() -> None:
    shown = row(ended_call())
    assert shown.duration == timedelta(seconds=1)
    assert shown.last_packet_at is None
    assert shown.ai_progress == "queued"


def test_a_transcribed_call_shows_its_sentiment() -> None:
    shown = row(transcribed_call("thank you, that was wonderful"))
    assert shown.sentiment == "positive"
    assert shown.score > 0
    assert (shown.outcome, shown.ai_progress) == ("transcribed", "1 attempt")


def test_a_request_under_way_is_shown() -> None:
    call = ended_call()
    begin_run(call)
    Call.objects.filter(pk=call.pk).update(attempts=2, next_attempt_at=None)
    assert row(call).ai_progress == "attempt 2 under way"


def test_a_failed_request_is_shown_with_its_words_and_next_try() -> None:
    call = ended_call()
    ask(begin_run(call), "inbound", OVERLOADED)
    shown = row(call)
    assert shown.ai_progress == "attempt 1 failed, next try"
    assert shown.last_error == "the AI service answered 503"
    assert shown.next_try_at == NOW + timedelta(seconds=5.5)


def test_a_failed_call_shows_why() -> None:
    shown = row(finish_run(ended_call(), REFUSED))
    assert (shown.state, shown.outcome) == ("FAILED", "failed")
    assert shown.why == "the AI service refused the audio"


def test_the_newest_call_stands_first(client: Client) -> None:
    older, newer = call_in_progress(), call_in_progress()
    assert ids(client) == [newer.call_id, older.call_id]


def test_archived_calls_are_shown_to_those_who_ask(client: Client) -> None:
    call = transcribed_call()
    archive(call.call_id, now=NOW, actor="test")
    assert ids(client) == []
    assert ids(client, "?state=ARCHIVED") == [call.call_id]
    assert ids(client, f"?q={call.call_id.upper()}") == [call.call_id]


@pytest.mark.parametrize(
    "query", ["?state=COMPLETED", "?agent=Tom", "?queue=Sales", "?outcome=transcribed", "?q=OUND"]
)
def test_a_filter_leaves_the_calls_that_fit(client: Client, query: str) -> None:
    call_in_progress()
    send("f-found-1", 0)
    fits = Call.objects.get(call_id="f-found-1")
    metadata.describe(fits.call_id, {"agent": "Tom", "queue": "Sales"}, now=NOW)
    if query in ("?state=COMPLETED", "?outcome=transcribed"):
        fits = transcribed_call()
    assert ids(client, query) == [fits.call_id]


def test_waiting_for_ai_means_ended_and_without_outcome(client: Client) -> None:
    call_in_progress()
    transcribed_call()
    waiting = ended_call()
    assert ids(client, "?outcome=pending") == [waiting.call_id]


@pytest.mark.parametrize(
    "query",
    ["?state=NONSENSE", "?agent=%00", "?page=abc", "?page=-1", f"?page={10**30}0", "?q=%FF%FE%00"],
)
def test_a_filter_that_cannot_be_read_is_none(client: Client, query: str) -> None:
    call = call_in_progress()
    assert ids(client, query) == [call.call_id]


def test_fifty_calls_are_a_page(client: Client) -> None:
    made = [call_in_progress(packets=1).call_id for _ in range(board.PAGE + 2)]
    assert ids(client) == made[:1:-1]
    assert ids(client, "?page=2") == [made[1], made[0]]
    assert 'rel="next" href="?page=2"' in text(client)
    assert 'rel="prev" href="?"' in text(client, "/?page=2")


def test_the_way_to_the_next_page_keeps_the_filters() -> None:
    assert Filters(agent="Ann & Bo", page=2).on_page(3) == "?agent=Ann+%26+Bo&page=3"


def test_a_page_that_is_not_there_says_so(client: Client) -> None:
    call_in_progress()
    assert "There are no calls on this page" in text(client, "/?page=7")


def test_the_known_agents_are_offered(client: Client) -> None:
    metadata.describe(fresh_id(), {"agent": "Priya"}, now=NOW)
    assert '<option value="Priya">' in text(client)


def test_many_rows_cost_no_more_queries_than_one(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    transcribed_call()
    with django_assert_num_queries(1):
        board.page(Filters())
    for _ in range(5):
        transcribed_call()
    with django_assert_num_queries(1):
        assert len(board.page(Filters()).rows) == 6


def test_the_tiles_count() -> None:
    call_in_progress()
    ended_call()
    finish_run(ended_call(), REFUSED)
    transcribed_call()
    transcribed_call(now=NOW - timedelta(days=1))
    tiles = board.tiles(UTC, now=NOW + timedelta(hours=1))
    assert (tiles.in_progress, tiles.waiting, tiles.failed, tiles.done_today) == (1, 1, 1, 1)


def test_today_begins_where_the_viewer_is() -> None:
    transcribed_call(now=NOW.replace(hour=23))
    next_morning = NOW.replace(day=4, hour=3)
    assert board.tiles(UTC, now=next_morning).done_today == 0
    berlin = zone_of({"zone": "Europe/Berlin"})
    assert board.tiles(berlin, now=next_morning).done_today == 1


@pytest.mark.parametrize("cookie", ["", "Mars/Olympus", "../../etc/passwd", "\0"])
def test_an_unknown_zone_is_utc(cookie: str) -> None:
    assert zone_of({"zone": cookie}) is UTC


def test_the_tiles_say_that_the_ai_service_is_down(client: Client) -> None:
    call = ended_call()
    claim, now = begin_run(call), timezone.now() + timedelta(minutes=1)
    for _ in range(5):
        ask(claim, "inbound", OVERLOADED, now=now)
    now += timedelta(seconds=2)
    breaker.note_silence("no answer", began=now, now=now)
    ai: Any = board.tiles(UTC, now=now)
    assert (ai.ai.available, ai.failure_rate) == (False, 100)
    assert "Down" in text(client)


def test_a_page_is_never_taken_from_a_cache(client: Client) -> None:
    assert "no-store" in client.get("/")["Cache-Control"]


def test_without_script_the_times_read_as_utc(client: Client) -> None:
    finish_run(ended_call(), said("yes"))
    assert ">2026-02-03 12:00:00 UTC</time>" in text(client)
