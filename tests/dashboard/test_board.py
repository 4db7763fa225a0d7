"""The board as it is first painted."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
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
from dashboard import board, screens
from dashboard.board import Row
from dashboard.filters import Filters
from dashboard.ordering import ORDERS
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
from tests.factories import NOW, call_in_progress, ended_call, fresh_id, hang_up, send

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def fresh_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of the test before."""
    monkeypatch.setattr(screens, "TILES_AGE", 0.0)


@pytest.fixture
def client() -> Client:
    return signed_in("view_call")


def ids(client: Client, query: str = "") -> list[str]:
    """The calls of the list, in its order."""
    painting = client.get(f"/{query}").context["painting"]
    return [one.removeprefix("call:") for one in painting.rows if one.startswith("call:")]


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
    "query",
    [
        "?state=COMPLETED",
        "?agent=Tom",
        "?queue=Sales",
        "?outcome=transcribed",
        "?sentiment=positive",
        "?min_duration=1",
        "?sort=negative",
        "?q=OUND",
        "?q=thanks",
    ],
)
def test_a_filter_leaves_the_calls_that_fit(client: Client, query: str) -> None:
    call_in_progress(now=timezone.now())
    send("f-found-1", 0, now=timezone.now())
    fits = Call.objects.get(call_id="f-found-1")
    metadata.describe(fits.call_id, {"agent": "Tom", "queue": "Sales"}, now=NOW)
    if query not in ("?agent=Tom", "?queue=Sales", "?q=OUND"):
        fits = transcribed_call()
    assert ids(client, query) == [fits.call_id]


def test_dates_are_the_viewers(client: Client) -> None:
    call = call_in_progress(now=NOW)
    client.cookies["zone"] = "Asia/Tokyo"
    assert ids(client, "?started_after=2026-02-03T21:00") == [call.call_id]
    assert ids(client, "?started_after=2026-02-03T21:01") == []
    assert ids(client, "?started_before=2026-02-03T21:00") == []
    client.cookies["zone"] = "UTC"
    assert ids(client, "?started_after=2026-02-03T12:01") == []


def test_the_longest_call_stands_first_and_those_in_progress_before_it(client: Client) -> None:
    short, long, going_on = call_in_progress(), call_in_progress(), call_in_progress()
    hang_up(short, now=NOW + timedelta(seconds=5))
    hang_up(long, now=NOW + timedelta(seconds=50))
    wanted = [going_on.call_id, long.call_id, short.call_id]
    assert ids(client, "?sort=longest") == wanted


def test_a_search_shows_where_the_words_were_said(client: Client) -> None:
    call = transcribed_call("<b>My parcel</b> is late", "so I want a refund & an apology")
    page = text(client, "/?q=refunds")
    assert ids(client, "?q=refunds") == [call.call_id]
    assert "I want a <mark>refund</mark> &amp; an apology" in page
    assert "<b>My" not in page


def test_a_search_marks_its_part_of_an_id(client: Client) -> None:
    send("north-17-b", 0)
    assert ">nor<mark>th-17</mark>-b</a>" in text(client, "/?q=TH-17")


def test_a_row_shows_where_the_sentiment_went() -> None:
    rising = transcribed_call("this is terrible", "well", "thank you, wonderful, perfect")
    falling = transcribed_call("wonderful, perfect", "well", "this is terrible and awful")
    level = transcribed_call("hello", "well", "goodbye")
    shown = {row.call_id: row.trend for row in board.page(Filters(), now=NOW).rows}
    assert shown[rising.call_id] == "rising"
    assert shown[falling.call_id] == "falling"
    assert shown[level.call_id] == "steady"


@pytest.mark.parametrize(("came", "percent"), [([0, 1, 2], 100.0), ([0, 3], 50.0), ([2000], 0.0)])
def test_completeness_is_rounded_down(came: list[int], percent: float) -> None:
    call_id = fresh_id()
    send(call_id, *came)
    assert row(Call.objects.get(call_id=call_id)).completeness == percent


def test_the_missing_tile_is_of_the_last_hour() -> None:
    assert board.tiles(UTC, now=NOW).missing is None
    call = call_in_progress(packets=2)
    send(call.call_id, 4)
    old = call_in_progress(now=NOW - timedelta(hours=2))
    send(old.call_id, 1000)
    assert board.tiles(UTC, now=NOW + timedelta(minutes=5)).missing == pytest.approx(40.0)


def test_waiting_for_ai_means_ended_and_without_outcome(client: Client) -> None:
    call_in_progress()
    transcribed_call()
    waiting = ended_call()
    assert ids(client, "?outcome=pending") == [waiting.call_id]


@pytest.mark.parametrize(
    "query",
    [
        "?state=NONSENSE",
        "?agent=%00",
        "?after=abc",
        "?after=-1",
        f"?before={10**30}0",
        "?after=1e999~7&sort=longest",
        "?after=.~7&sort=longest",
        "?sort=random",
        "?q=%FF%FE%00",
        "?started_after=yesterday",
        "?started_before=0001-01-01T00:00",
        "?min_duration=-1",
        "?min_duration=NaN",
        "?min_duration=1e30",
        "?sentiment=furious",
    ],
)
def test_a_filter_that_cannot_be_read_is_none(client: Client, query: str) -> None:
    call = call_in_progress()
    assert ids(client, query) == [call.call_id]


@contextmanager
def pages_of(rows: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(board, "PAGE", rows)
        yield


def link(client: Client, words: str, query: str) -> str:
    """Where a link of the page leads."""
    found = re.search(rf'href="([^"]*)">{words}<', text(client, f"/{query}"))
    return unescape(found[1]) if found else ""


@pytest.mark.parametrize("order", ORDERS)
def test_page_follows_page_down_and_up_again(client: Client, order: str) -> None:
    for number in range(5):
        send(f"p-{number}", 0, now=NOW)
        hang_up(Call.objects.get(call_id=f"p-{number}"), now=NOW + timedelta(seconds=number // 2))
    for texts in ("great", "awful", "hello", "great", "awful"):
        transcribed_call(texts)
    whole = ids(client, f"?sort={order}")
    assert len(whole) == (5 if order == "negative" else 10)
    with pages_of(2):
        seen, query = ids(client, f"?sort={order}"), f"?sort={order}"
        while query := link(client, "More", query):
            last = query
            seen += ids(client, query)
        assert seen == whole
        up, query = ids(client, last), last
        while query := link(client, "Back", query):
            up = ids(client, query) + up if link(client, "Back", query) else up
        assert up == whole[2:]


def test_the_way_to_the_next_page_keeps_the_filters() -> None:
    filters = Filters(agent="Ann & Bo", started_after=NOW, min_duration=90.0)
    assert filters.at(after="7").address == (
        "?after=7&agent=Ann+%26+Bo&min_duration=90&started_after=2026-02-03T12%3A00"
    )


def test_a_page_that_is_not_there_says_so(client: Client) -> None:
    call = call_in_progress()
    assert "There are no calls on this page" in text(client, f"/?after={call.pk}")


def test_less_than_a_page_above_is_the_top(client: Client) -> None:
    made = [call_in_progress() for _ in range(3)]
    assert ids(client, f"?before={made[1].pk}") == [call.call_id for call in reversed(made)]


def test_the_known_agents_are_offered(client: Client) -> None:
    metadata.describe(fresh_id(), {"agent": "Priya"}, now=NOW)
    assert '<option value="Priya">' in text(client)


def test_many_rows_cost_no_more_queries_than_one(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    transcribed_call()
    with django_assert_num_queries(2):
        board.page(Filters(), now=NOW)
    for _ in range(5):
        transcribed_call()
    with django_assert_num_queries(2):
        assert len(board.page(Filters(), now=NOW).rows) == 6


def test_a_linked_figure_says_what_it_counts(client: Client) -> None:
    call_in_progress()
    assert 'aria-label="1 in progress"' in client.get("/").content.decode()


def test_the_tiles_count() -> None:
    call_in_progress()
    ended_call()
    finish_run(ended_call(), REFUSED)
    transcribed_call()
    transcribed_call(now=NOW - timedelta(days=1))
    tiles = board.tiles(UTC, now=NOW + timedelta(hours=1))
    assert (tiles.in_progress, tiles.ai.backlog, tiles.failed, tiles.done_today) == (1, 1, 1, 1)


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
    breaker.note_silence("no answer <at all>", began=now, now=now)
    ai: Any = board.tiles(UTC, now=now)
    assert (ai.ai.available, ai.failure_rate) == (False, 100)
    page = text(client)
    assert "Down" in page
    assert "no answer &lt;at all&gt;; 100 % of 5 requests failed" in page


def test_a_page_is_never_taken_from_a_cache(client: Client) -> None:
    assert "no-store" in client.get("/")["Cache-Control"]


def test_without_script_the_times_read_as_utc(client: Client) -> None:
    finish_run(ended_call(), said("yes"))
    assert ">2026-02-03 12:00:00 UTC</time>" in text(client)


def test_the_address_of_the_board_asks_for_no_other_page(client: Client) -> None:
    page = client.get("/?call=a-1&alerts=1&queue=Billing&nonsense=%00").content.decode()
    assert 'data-socket="/ws/board?queue=Billing"' in page
