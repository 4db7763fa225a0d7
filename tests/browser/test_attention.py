"""Alerts before a real browser: they come live, once, are heard where wished and acknowledged."""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import SignedIn, sign_in
from tests.browser.system import System
from tests.browser.test_access import violations

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SECOND = 1000.0  # milliseconds
SWEEP = 12 * SECOND  # every five seconds, after the start of a worker


@pytest.fixture
def watched(system: System) -> Iterator[System]:
    """With a worker, whose sweep raises alerts."""
    system.start("worker")
    yield system
    system.stop("worker")


def alerts(page: Page) -> Locator:
    return page.locator("#alerts li")


def fail_a_call(system: System, call_id: str) -> None:
    """It ends before its first packet."""
    system.send("PUT", f"/call/{call_id}")
    system.send("POST", f"/call/{call_id}/end")


def alarm(system: System, call_id: str) -> None:
    """An alert of a call, as a sweep would leave it."""
    fail_a_call(system, call_id)
    system.query(
        "INSERT INTO calls_alert (kind, cause, call_id, track, words, raised_at, acknowledged_by)"
        " SELECT 'failed', call_id, id, '', 'hangup', now(), '' FROM calls_call WHERE call_id = %s",
        call_id,
    )


def open_board(page: Page, system: System) -> None:
    page.goto(system.url)
    expect(page.locator("#link")).to_have_text("live")
    page.evaluate("window.mark = 'the same page'")


def test_an_alert_comes_live_is_heard_and_acknowledged_and_comes_once(
    page: Page, watched: System
) -> None:
    open_board(page, watched)
    expect(page.locator("#alerts")).to_contain_text("Nothing is open")
    sound = page.get_by_role("button", name="Sound off")
    sound.click()
    expect(page.get_by_role("button", name="Sound on")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#alert-sound")).to_have_attribute("data-chimes", "1")

    fail_a_call(watched, "a-1")
    expect(alerts(page)).to_have_count(1, timeout=SWEEP)
    expect(alerts(page)).to_contain_text("not one packet came")
    expect(page.locator("#alert-sound")).to_have_attribute("data-chimes", "2")

    page.get_by_role("button", name="Acknowledge Call failed a-1").click()
    expect(alerts(page)).to_have_count(0)
    [(by,)] = watched.query("SELECT acknowledged_by FROM calls_alert")
    assert by == "user admin"
    fail_a_call(watched, "a-2")
    expect(alerts(page)).to_contain_text("a-2", timeout=SWEEP)
    expect(alerts(page)).to_have_count(1)
    assert watched.query("SELECT count(*) FROM calls_alert") == [(2,)]
    assert page.evaluate("window.mark") == "the same page"

    alerts(page).get_by_role("link", name="a-2").click()
    page.wait_for_url(f"{watched.url}/calls/a-2/")
    [(actor, call_id)] = watched.query(
        "SELECT actor, call_id FROM calls_audit WHERE verb = 'opened' AND call_id = 'a-2'"
    )
    assert (actor, call_id) == ("user admin", "a-2")


def test_what_one_supervisor_acknowledges_leaves_the_page_of_the_other(
    page: Page, chromium: Browser, system: System
) -> None:
    context = chromium.new_context()
    other = context.new_page()
    sign_in(other, system.url, system.supervisor)
    open_board(page, system)
    alarm(system, "a-1")
    for screen in (page, other):
        expect(alerts(screen)).to_have_count(1)
        expect(screen).to_have_title("(1) Calls · Call centre")
    other.get_by_role("button", name="Acknowledge").click()
    expect(alerts(page)).to_have_count(0)
    expect(page).to_have_title("Calls · Call centre")
    assert page.locator("#alert-sound").get_attribute("data-chimes") is None
    context.close()


def test_the_page_of_all_alerts_changes_by_itself(page: Page, system: System) -> None:
    page.goto(f"{system.url}/alerts/?standing=open")
    expect(page.locator("#link")).to_have_text("live")
    expect(page.get_by_role("heading", name="No alert fits")).to_be_visible()
    page.get_by_role("button", name="Sound off").click()
    alarm(system, "a-1")
    alarm(system, "a-2")
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(2)
    expect(page.locator("#alerts")).to_have_text("2 open")
    expect(page.locator("#alert-sound")).not_to_have_attribute("data-chimes", "1")
    page.get_by_role("button", name="Acknowledge Call failed a-2").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("a-1")
    alarm(system, "a-3")
    page.get_by_role("button", name="Acknowledge all 2").click()
    expect(page.get_by_text("2 alerts are acknowledged.")).to_be_visible()
    expect(page.locator("#alerts")).to_have_text("Nothing is open")


def test_a_long_id_leaves_room_for_the_rest(page: Page, system: System) -> None:
    alarm(system, "a-" + "long" * 30)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{system.url}/alerts/")
    expect(page.locator("#link")).to_have_text("live")
    region = page.get_by_role("region", name="Alerts")
    assert region.evaluate("region => region.scrollWidth === region.clientWidth")
    [height] = page.locator("#rows tr").evaluate_all("rows => rows.map(row => row.clientHeight)")
    assert height < 60


def test_without_script_an_alert_is_acknowledged_too(
    chromium: Browser, signed_in: SignedIn, system: System
) -> None:
    alarm(system, "a-1")
    context = chromium.new_context(storage_state=signed_in, java_script_enabled=False)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{system.url}/?state=FAILED")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("The alert is acknowledged.")).to_be_visible()
    assert page.url == f"{system.url}/?state=FAILED"
    expect(page.locator("#alerts")).to_contain_text("Nothing is open")
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_pages_keep_nobody_out_and_within_the_screen(
    chromium: Browser,
    signed_in: SignedIn,
    system: System,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    long_id = "a-" + "long" * 30
    alarm(system, long_id)
    context = chromium.new_context(
        storage_state=signed_in,  # type: ignore[arg-type]
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    for path in ("/", "/alerts/", "/audit/"):
        page.goto(system.url + path)
        expect(page.get_by_text(long_id).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page) == [], path
    context.close()
