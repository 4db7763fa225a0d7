"""No page keeps anybody out: axe-core finds nothing serious on any of them."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SignedIn
from tests.browser.system import System

pytestmark = [pytest.mark.browser, pytest.mark.processes]

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
SERIOUS = ("serious", "critical")


def violations(page: Page) -> list[str]:
    """In words, each with the elements that it is about."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_keeps_anybody_out(
    chromium: Browser,
    signed_in: SignedIn,
    system: System,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    system.send("PUT", "/call/a-1", agent="Priya", queue="Billing", metadata={"skill": "contract"})
    for sequence in (0, 4, 4):
        system.send_packet("a-1", sequence)
    system.send_packet("a-2", 0)
    system.send("POST", "/call/a-2/end")
    system.send("PUT", "/call/a-3")
    system.send("POST", "/call/a-3/end")
    context = chromium.new_context(
        storage_state=signed_in,  # type: ignore[arg-type]
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    for path in ("/", "/?q=nothing", "/calls/a-1/", "/calls/a-2/", "/calls/a-3/"):
        page.goto(system.url + path)
        expect(page.locator("#link")).to_have_text("live")
        assert violations(page) == [], path
    context.clear_cookies()
    page.goto(system.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert violations(page) == []
    context.close()
