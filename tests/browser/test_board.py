"""The board before a real browser."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocket, expect

from tests.browser.conftest import SignedIn, sign_in
from tests.browser.system import System
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SECOND = 1000.0  # milliseconds
LIVE = "live"


def badge(page: Page) -> Locator:
    return page.locator("#link")


def row(page: Page, call_id: str) -> Locator:
    return page.locator(f"[id='call:{call_id}']")


def open_board(page: Page, system: System, query: str = "") -> None:
    """The board, live, with a mark on its window that a reload would take away."""
    page.goto(f"{system.url}/{query}")
    expect(badge(page)).to_have_text(LIVE)
    page.evaluate("window.mark = 'the same page'")


def never_reloaded(page: Page) -> bool:
    return bool(page.evaluate("window.mark === 'the same page'"))


def shown(page: Page) -> list[str]:
    return page.locator("#rows th a").all_text_contents()


def stored(system: System) -> list[str]:
    return [call_id for (call_id,) in system.query("SELECT call_id FROM calls_call ORDER BY -id")]


def test_the_first_supervisor_signs_in_to_an_empty_board(chromium: Browser, system: System) -> None:
    context = chromium.new_context()
    page = context.new_page()
    sign_in(page, system.url, system.supervisor)
    expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    expect(badge(page)).to_have_text(LIVE)
    context.close()


def test_a_packet_becomes_a_row_within_a_second(page: Page, system: System) -> None:
    open_board(page, system)
    system.send_packet("b-new", 0)
    expect(row(page, "b-new")).to_be_visible(timeout=SECOND)
    expect(page.get_by_role("heading", name="No calls yet")).to_be_hidden()
    system.send_packet("b-newer", 0)
    expect(row(page, "b-newer")).to_be_visible(timeout=SECOND)
    assert shown(page) == ["b-newer", "b-new"]
    assert never_reloaded(page)


def test_a_row_changes_in_place(page: Page, system: System) -> None:
    system.send_packet("b-1", 0)
    open_board(page, system)
    one = row(page, "b-1")
    one.evaluate("row => { row.mark = 'the same row' }")
    one.get_by_role("link").focus()
    system.send_packet("b-1", 5)
    expect(one).to_contain_text("4 missing", timeout=SECOND)
    system.send("PUT", "/call/b-1", agent="Priya", queue="Billing")
    expect(one).to_contain_text("Priya", timeout=SECOND)
    system.send("POST", "/call/b-1/end")
    expect(one).to_contain_text("Completed", timeout=SECOND)
    expect(one.get_by_role("link")).to_be_focused()
    assert one.evaluate("row => row.mark") == "the same row"
    assert never_reloaded(page)


def test_the_duration_and_the_pulse_go_on_by_themselves(page: Page, system: System) -> None:
    system.send_packet("b-1", 0)
    open_board(page, system)
    duration = row(page, "b-1").locator("[data-label=Duration]")
    for _ in range(3):
        before = duration.text_content() or ""
        expect(duration).not_to_have_text(before, timeout=1.6 * SECOND)
    expect(row(page, "b-1").locator(".pulse")).to_have_text("live")
    system.query("UPDATE calls_call SET last_packet_at = now() - interval '20 s'")
    expect(row(page, "b-1").locator(".pulse")).to_contain_text("silent 0:2")


def test_the_badge_tells_when_the_server_is_gone_and_back(page: Page, system: System) -> None:
    system.send_packet("b-1", 0)
    open_board(page, system)
    system.kill("web")
    expect(badge(page)).to_have_text("reconnecting", timeout=2 * SECOND)
    expect(badge(page)).to_contain_text("stale since", timeout=6 * SECOND)
    assert shown(page) == ["b-1"]
    system.query("UPDATE calls_call SET agent = 'Priya'")
    system.query(
        "INSERT INTO calls_call SELECT (json_populate_record(c, %s)).* FROM calls_call c",
        '{"id": 999999, "call_id": "b-2"}',
    )
    system.start("web")
    expect(badge(page)).to_have_text(LIVE, timeout=12 * SECOND)
    expect(row(page, "b-1")).to_contain_text("Priya")
    assert shown(page) == stored(system)
    assert never_reloaded(page)


@pytest.mark.parametrize("hours", [8, -1])
def test_after_a_jump_of_the_clock_the_page_asks_anew(
    page: Page, system: System, hours: int
) -> None:
    page.add_init_script("const real = Date.now; window.ahead = 0; Date.now = () => real() + ahead")
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    open_board(page, system)

    def asked_anew_after_a_jump() -> bool:
        page.evaluate("hours => { window.ahead += hours * 3_600_000 }", hours)
        return len(sockets) > 1

    until(asked_anew_after_a_jump, 10, "another socket")
    system.send_packet("b-1", 0)
    expect(row(page, "b-1")).to_be_visible()
    expect(badge(page)).to_have_text(LIVE)
    assert never_reloaded(page)


def test_without_sockets_the_page_asks_again(chromium: Browser, system: System) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.route_web_socket("**/ws/board*", lambda socket: socket.close())
    sign_in(page, system.url, system.supervisor)
    expect(badge(page)).to_have_text("every 3 s", timeout=12 * SECOND)
    page.evaluate("window.mark = 'the same page'")
    system.send_packet("b-1", 0)
    expect(row(page, "b-1")).to_be_visible(timeout=6 * SECOND)
    assert never_reloaded(page)

    # The login ends elsewhere.
    [session] = [c["value"] for c in context.cookies() if c.get("name") == "sessionid"]
    system.query("DELETE FROM django_session WHERE session_key = %s", session)
    expect(badge(page)).to_contain_text("signed out", timeout=6 * SECOND)
    context.close()


def test_a_filter_stays_in_the_address_and_is_live(page: Page, system: System) -> None:
    for call_id in ("b-1", "b-2"):
        system.send_packet(call_id, 0)
    open_board(page, system)
    page.get_by_label("State").select_option("Completed")
    page.get_by_role("button", name="Filter").click()
    assert "state=COMPLETED" in page.url
    expect(page.get_by_role("heading", name="No call fits these filters")).to_be_visible()
    expect(badge(page)).to_have_text(LIVE)
    system.send("POST", "/call/b-2/end")
    expect(row(page, "b-2")).to_be_visible(timeout=SECOND)
    assert shown(page) == ["b-2"]
    expect(row(page, "b-2")).to_be_in_viewport()
    row(page, "b-2").get_by_role("link").click()
    page.get_by_role("navigation", name="Way back").get_by_role("link").click()
    expect(badge(page)).to_have_text(LIVE)
    assert shown(page) == ["b-2"]


def test_a_search_shows_the_calls_with_their_words(page: Page, system: System) -> None:
    system.send_packet("b-1", 0)
    system.send_packet("b-2", 0)
    system.query(
        "INSERT INTO calls_result (call_id, run, transcript, sentiment, score, created_at)"
        " SELECT id, 1, 'I want a <b>refund</b> now', 'negative', -0.5, now()"
        " FROM calls_call WHERE call_id = 'b-1'"
    )
    system.query("UPDATE calls_call SET has_ai_result = true WHERE call_id = 'b-1'")
    open_board(page, system)
    page.get_by_label("Words or call id").fill("refunds")
    page.get_by_role("button", name="Filter").click()
    expect(badge(page)).to_have_text(LIVE)
    assert shown(page) == ["b-1"]
    expect(page.locator("[id='said:b-1'] mark")).to_have_text("refund")
    page.get_by_label("Words or call id").fill("b-2")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("th mark")).to_have_text("b-2")
    assert shown(page) == ["b-2"]


def test_a_view_is_saved_opened_and_removed(page: Page, system: System) -> None:
    system.send("PUT", "/call/b-1", agent="Priya")
    system.send("PUT", "/call/b-2", agent="Tom")
    open_board(page, system)
    page.get_by_label("Agent", exact=True).fill("Tom")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Name of this view").fill("Tom's calls")
    page.get_by_role("button", name="Save view").click()
    open_board(page, system)
    page.get_by_role("link", name="Tom's calls").click()
    expect(badge(page)).to_have_text(LIVE)
    assert shown(page) == ["b-2"]
    page.get_by_role("button", name="Remove the view Tom's calls").click()
    expect(page.get_by_text("is removed")).to_be_visible()
    expect(page.get_by_role("link", name="Tom's calls")).to_have_count(0)


def test_the_charts_are_drawn_and_told(page: Page, system: System) -> None:
    system.send_packet("b-1", 0)
    open_board(page, system)
    drawn = page.locator("#charts canvas")
    expect(drawn).to_have_count(4)
    painted = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
    for canvas in drawn.all():
        assert canvas.evaluate(f"canvas => ({painted})(canvas).data.some(value => value > 0)")
    words = page.locator("#chart-calls [role=img]")
    expect(words).to_have_attribute("aria-label", re.compile("last hour: now Begun [0-9]"))
    expect(page.locator("#chart-calls .u-legend")).to_contain_text(re.compile(r"Begun\s*[0-9]"))
    page.get_by_text("The same as a table").click()
    expect(page.locator("#charts .numbers tbody tr")).to_have_count(60)
    begun = page.locator("#charts .numbers td:nth-child(2)").get_by_text("1", exact=True)
    expect(begun).to_have_count(1, timeout=15 * SECOND)


def test_the_badge_tells_when_redis_is_away_and_back(page: Page, system: System) -> None:
    open_board(page, system)
    system.stop("redis")
    try:
        expect(badge(page)).to_contain_text("Redis is away", timeout=4 * SECOND)
        system.send_packet("b-meanwhile", 0)
        expect(row(page, "b-meanwhile")).to_be_visible(timeout=4 * SECOND)
        expect(page.locator("#tiles")).to_contain_text("not known while Redis is away")
    finally:
        system.start("redis")
    system.send_packet("b-after", 0)
    expect(badge(page)).to_have_text(LIVE, timeout=5 * SECOND)
    expect(row(page, "b-after")).to_be_visible(timeout=5 * SECOND)
    assert shown(page) == stored(system)
    system.send_packet("b-later", 0)
    expect(row(page, "b-later")).to_be_visible(timeout=3 * SECOND)
    assert never_reloaded(page)


def test_who_signs_out_elsewhere_hears_no_more(chromium: Browser, system: System) -> None:
    context = chromium.new_context()
    page = context.new_page()
    sign_in(page, system.url, system.supervisor)
    expect(badge(page)).to_have_text(LIVE)
    [session] = [one for one in context.cookies() if one["name"] == "sessionid"]
    system.query("DELETE FROM django_session WHERE session_key = %s", session["value"])
    expect(badge(page)).to_contain_text("signed out", timeout=60 * SECOND)
    context.close()


def test_what_acts_is_disabled_while_the_page_is_stale(page: Page, system: System) -> None:
    open_board(page, system, "?queue=Billing")
    save = page.get_by_role("button", name="Save view")
    expect(save).to_be_enabled()
    system.kill("web")
    expect(badge(page)).to_contain_text("stale since", timeout=8 * SECOND)
    expect(save).to_be_disabled()
    system.start("web")
    expect(badge(page)).to_have_text(LIVE, timeout=12 * SECOND)
    expect(save).to_be_enabled()


def test_the_page_reads_without_script(
    chromium: Browser, signed_in: SignedIn, system: System
) -> None:
    system.send_packet("b-1", 0)
    context = chromium.new_context(
        storage_state=signed_in,  # type: ignore[arg-type]
        java_script_enabled=False,
    )
    page = context.new_page()
    page.goto(system.url)
    expect(badge(page)).to_contain_text("as of 20")
    expect(row(page, "b-1")).to_contain_text("UTC")
    row(page, "b-1").get_by_role("link").click()
    expect(page.get_by_role("heading", name="b-1")).to_be_visible()
    context.close()


def test_a_long_id_is_cut_and_told_in_full(page: Page, system: System) -> None:
    long_id = "b-" + "long" * 30
    system.send_packet(long_id, 0)
    page.set_viewport_size({"width": 1280, "height": 800})
    open_board(page, system)
    link = row(page, long_id).get_by_role("link", name=long_id)
    expect(link).to_have_attribute("title", long_id)
    assert row(page, long_id).evaluate("row => row.clientHeight") < 70


def test_charts_that_were_closed_stay_closed(page: Page, system: System) -> None:
    open_board(page, system)
    page.locator("#charts > summary").click()
    expect(page.locator("#chart-calls")).to_be_hidden()
    open_board(page, system)
    expect(page.locator("#chart-calls")).to_be_hidden()
    page.locator("#charts > summary").click()
    expect(page.locator("#chart-calls canvas")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 900, 320])
def test_nothing_is_wider_than_the_screen(page: Page, system: System, width: int) -> None:
    system.send_packet("b-" + "long" * 30, 0)
    system.send("PUT", "/call/b-" + "long" * 30, agent="W" * 200, caller="1" * 60, queue="q " * 90)
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", "/calls/b-" + "long" * 30 + "/"):
        page.goto(system.url + path)
        expect(badge(page)).to_have_text(LIVE)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_admin_and_the_api_page_work_under_the_policy(page: Page, system: System) -> None:
    page.goto(f"{system.url}/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    page.goto(f"{system.url}/admin/calls/apikey/add/")
    page.get_by_label("Name").fill("by hand")
    page.get_by_label("Send packets").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist code")).to_contain_text("cc_")


def test_a_row_leaves_when_its_call_is_archived_elsewhere(page: Page, system: System) -> None:
    system.send("PUT", "/call/b-1")
    system.send("POST", "/call/b-1/end")
    open_board(page, system)
    expect(row(page, "b-1")).to_contain_text("No audio")
    system.send("POST", "/call/b-1/archive")
    expect(row(page, "b-1")).to_have_count(0, timeout=SECOND)
    assert never_reloaded(page)
