"""The page of a call before a real browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.system import System

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SECOND = 1000.0  # milliseconds


def open_call(page: Page, system: System, call_id: str) -> None:
    """Its page, live, with a mark on its window that a reload would take away."""
    page.goto(f"{system.url}/calls/{call_id}/")
    expect(page.locator("#link")).to_have_text("live")
    page.evaluate("window.mark = 'the same page'")


def never_reloaded(page: Page) -> bool:
    return bool(page.evaluate("window.mark === 'the same page'"))


def test_the_page_follows_its_call(page: Page, system: System) -> None:
    system.send_packet("c-1", 0)
    open_call(page, system, "c-1")
    expect(page.get_by_role("button", name="Reprocess")).to_be_disabled()
    system.send_packet("c-1", 3)
    expect(page.locator("#packets")).to_contain_text("sequence 1–2", timeout=SECOND)  # noqa: RUF001
    system.send("PUT", "/call/c-1", agent="Priya", metadata={"skill": "contract"})
    expect(page.locator("#facts")).to_contain_text("contract", timeout=SECOND)
    system.send("POST", "/call/c-1/end", reason="the caller hung up")
    expect(page.locator("#history")).to_contain_text("the caller hung up", timeout=SECOND)
    expect(page.get_by_role("button", name="Reprocess")).to_be_enabled()
    assert never_reloaded(page)


def test_a_call_is_run_again_from_its_page(page: Page, system: System) -> None:
    system.send("PUT", "/call/c-1")
    system.send("POST", "/call/c-1/end")
    open_call(page, system, "c-1")
    page.get_by_role("button", name="Reprocess").click()
    expect(page.get_by_text("A new AI run is queued.")).to_be_visible()
    expect(page.locator("#attempts")).to_contain_text("Reprocess asked by user admin")
    expect(page.get_by_role("button", name="Archive")).to_be_disabled()
    expect(page.get_by_text("To be archived once it has an outcome.")).to_be_visible()


def test_an_archived_call_can_only_be_looked_at(page: Page, system: System) -> None:
    system.send("PUT", "/call/c-1")
    system.send("POST", "/call/c-1/end")
    open_call(page, system, "c-1")
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_text("The call is archived.")).to_be_visible()
    expect(page.get_by_role("button", name="Reprocess")).to_be_disabled()
