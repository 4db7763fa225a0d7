"""Pages that nothing else opens work under the policy: what it blocks, the browser complains of."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.system import System

pytestmark = [pytest.mark.browser, pytest.mark.processes]

MODELS = ("call", "apikey", "attempt", "job", "phrase", "audit")
ADMIN = ("auth/user/add/", "calls/apikey/add/", "password_change/")


def test_a_key_entered_once_counts_for_every_address_of_the_api(page: Page, system: System) -> None:
    page.goto(f"{system.url}/docs")
    page.get_by_role("button", name="Authorize").click()
    form = page.locator(".auth-container").filter(has_text="Bearer")
    form.get_by_role("textbox").fill(system.api_key)
    form.get_by_role("button", name="Apply credentials").click()
    page.locator(".close-modal").click()
    locked = page.get_by_role("button", name="authorization button locked", exact=True)
    expect(locked).to_have_count(page.locator(".opblock").count())
    stats = page.locator(".opblock").filter(has_text="/stats")
    stats.click()
    stats.get_by_role("button", name="Try it out").click()
    stats.get_by_role("button", name="Execute").click()
    expect(stats.locator(".live-responses-table .response-col_status").last).to_have_text("200")


def test_no_page_does_what_its_policy_forbids(page: Page, system: System) -> None:
    lists = [f"/admin/calls/{model}/" for model in MODELS]
    for path in ["/alerts/", "/audit/", "/admin/", *lists, *(f"/admin/{one}" for one in ADMIN)]:
        answer = page.goto(system.url + path)
        assert answer is not None
        assert answer.status == 200, path
