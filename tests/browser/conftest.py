"""A real Chromium before the real system.

Playwright keeps a loop running in the main thread, in which neither the ORM nor asynchronous
tests work: all of it ends with this package.
"""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from callcenter.embedded.engines import Urls
from tests.browser.system import System

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
]
ABSENT = "no Chromium was found on the PATH: the browser tests are not run"

SignedIn = dict[str, Any]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(ABSENT)
        pytest.skip(ABSENT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def running(
    chromium: Browser, engines: Urls, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The web process, for all tests; they start others themselves."""
    system = System(
        engines,
        tmp_path_factory.mktemp("system"),
        SPEECH_ENGINE="pocketsphinx",
        AI_FAILURE_RATE="0.25",
        AI_LATENCY="1-3",
    )
    system.prepare()
    system.start("web")
    yield system
    system.stop()


@pytest.fixture
def system(running: System) -> System:
    """Without a call."""
    running.forget_calls()
    return running


@pytest.fixture(scope="package")
def signed_in(chromium: Browser, running: System) -> SignedIn:
    """The cookies of somebody who has signed in."""
    context = chromium.new_context()
    page = context.new_page()
    sign_in(page, running.url, running.admin)
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def page(chromium: Browser, signed_in: SignedIn) -> Iterator[Page]:
    context = chromium.new_context(storage_state=signed_in)  # type: ignore[arg-type]
    with_complaints = Complaints(context)
    yield context.new_page()
    context.close()
    assert not with_complaints.heard


class Complaints:
    """What a browser says of a page that does what it may not, or fails."""

    def __init__(self, context: BrowserContext) -> None:
        self.heard: list[str] = []
        context.on("weberror", lambda error: self.heard.append(str(error.error)))
        context.on("console", lambda message: self._hear(message.text))

    def _hear(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.heard.append(text)


def sign_in(page: Page, url: str, account: dict[str, str]) -> None:
    page.goto(url)
    page.get_by_label("User name").fill(account["username"])
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
