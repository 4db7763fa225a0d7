"""The admin before a real browser: its rows and pages change while somebody looks at them."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.system import System

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SECOND = 1000.0  # milliseconds
LIST = "/admin/calls/call/"


def open_live(page: Page, address: str) -> None:
    """A page of the admin, live, with a mark on its window that a reload would take away."""
    page.goto(address)
    expect(page.locator("#link")).to_have_text("live")
    page.evaluate("window.mark = 'the same page'")


def never_reloaded(page: Page) -> bool:
    return bool(page.evaluate("window.mark === 'the same page'"))


def test_a_row_changes_its_state_live(page: Page, system: System) -> None:
    system.send_packet("a-1", 0)
    system.send_packet("a-2", 0)
    open_live(page, system.url + LIST)
    row = page.get_by_role("row").filter(has_text="a-1")
    expect(row.locator(".field-state")).to_have_text("In progress")
    system.send_packet("a-1", 3)
    expect(row.locator(".field-packet_count")).to_have_text("2", timeout=SECOND)
    expect(row.locator(".field-missing")).to_have_text("2", timeout=SECOND)
    system.send("POST", "/call/a-1/end")
    expect(row.locator(".field-state")).to_have_text("Completed", timeout=SECOND)
    other = page.get_by_role("row").filter(has_text="a-2")
    expect(other.locator(".field-state")).to_have_text("In progress")
    assert never_reloaded(page)


def test_what_came_of_the_calls_is_seen_without_scrolling(page: Page, system: System) -> None:
    system.send(
        "PUT", "/call/demo-20260203120000-cancellation", agent="Laura Bennett", queue="Sale"
    )
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(system.url + LIST)
    seen, last = (page.locator(it).bounding_box() for it in (".results", "th.column-attempts"))
    assert seen
    assert last
    assert last["x"] + last["width"] <= seen["x"] + seen["width"]


def test_a_list_tells_of_newer_calls_and_shows_them_when_asked(page: Page, system: System) -> None:
    open_live(page, system.url + LIST + "?state__exact=IN_PROGRESS")
    system.send_packet("a-1", 0)
    page.get_by_role("link", name="1 newer call: reload").click()
    expect(page.get_by_role("row").filter(has_text="a-1")).to_be_visible()
    expect(page.locator("#newer")).to_be_empty()
    assert page.url.endswith("?state__exact=IN_PROGRESS")


def test_the_page_of_a_call_changes_live_and_ends_it(page: Page, system: System) -> None:
    system.send_packet("a-1", 0)
    page.goto(system.url + LIST)
    page.get_by_role("link", name="a-1").click()
    open_live(page, page.url)
    system.send_packet("a-1", 1)
    expect(page.locator(".field-packet_count .readonly")).to_have_text("2", timeout=SECOND)
    system.send("POST", "/call/a-1/end")
    expect(page.locator("#story")).to_contain_text("hangup", timeout=SECOND)
    expect(page.get_by_role("button", name="Reprocess")).to_be_visible()
    expect(page.get_by_role("button", name="End", exact=True)).to_have_count(0)
    assert never_reloaded(page)


def test_a_button_of_a_page_ends_its_call(page: Page, system: System) -> None:
    system.send_packet("a-1", 0)
    page.goto(system.url + LIST)
    page.get_by_role("link", name="a-1").click()
    open_live(page, page.url)
    page.get_by_role("button", name="End", exact=True).click()
    expect(page.get_by_text("1 ended, 0 refused.")).to_be_visible()
    expect(page.locator(".field-state .readonly")).to_have_text("Completed")
    expect(page.get_by_role("button", name="End", exact=True)).to_have_count(0)


def test_selected_calls_are_archived_from_the_list(page: Page, system: System) -> None:
    system.send("PUT", "/call/a-1")
    system.send("POST", "/call/a-1/end")
    system.send_packet("a-2", 0)
    open_live(page, system.url + LIST)
    page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option(label="Archive the selected calls")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("1 archived, 1 refused: cannot be archived: it has")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="a-1")
    expect(row.locator(".field-state")).to_have_text("Archived")
