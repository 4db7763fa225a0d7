"""The whole way: a spoken call, followed on the pages from its first packet to its transcript,
with the real worker, and the real speech service failing a quarter of its requests.
"""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from callcenter.simulator.recordings import recordings
from tests.browser.system import System
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SECOND = 1000.0  # milliseconds
PLAYED = recordings()[0]


@pytest.fixture(autouse=True)
def at_work(system: System) -> Iterator[None]:
    system.start("speech", "worker")
    yield
    system.stop("worker", "speech")


@pytest.fixture
def playing(system: System) -> Iterator["subprocess.Popen[str]"]:
    """The simulated PBX, four times as fast as people speak."""
    words = ["play_calls", "--calls", "1", "--speed", "4", "--url", system.url]
    pbx = subprocess.Popen(
        [sys.executable, "manage.py", *words, "--api-key", system.api_key],
        cwd=settings.BASE_DIR,
        env=system.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield pbx
    pbx.terminate()
    pbx.communicate(timeout=10)


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def mark(page: Page) -> None:
    page.evaluate("window.mark = 'the same page'")


def never_reloaded(page: Page) -> bool:
    return bool(page.evaluate("window.mark === 'the same page'"))


def test_a_spoken_call_is_followed_to_its_transcript(
    page: Page, system: System, playing: "subprocess.Popen[str]"
) -> None:
    page.goto(system.url)
    mark(page)
    row = page.locator("#rows tr")
    expect(row).to_contain_text("In progress", timeout=20 * SECOND)
    expect(row).to_contain_text(PLAYED.agent)
    address = row.get_by_role("link").get_attribute("href")

    call = page.context.new_page()
    call.goto(f"{system.url}{address}")
    expect(call.locator("#transcript")).to_contain_text("once the call has ended")
    mark(call)
    expect(call.locator("#history")).to_contain_text("In progress → Completed", timeout=20 * SECOND)
    expect(call.locator("#summary")).to_contain_text("Transcribed", timeout=90 * SECOND)

    said = words_of(" ".join(call.locator(".said").all_text_contents()))
    script = words_of(" ".join(one.text for one in PLAYED.script))
    assert len(set(said) & set(script)) > len(set(script)) / 2, (said, script)
    assert {"inbound", "outbound"} == set(
        call.locator("#transcript li").evaluate_all("all => all.map(one => one.dataset.track)")
    )
    expect(call.locator("#attempts")).to_contain_text("Success")
    expect(row).to_contain_text("Transcribed")

    second = call.locator("#transcript li").nth(1)
    second.locator(".said").click()
    expect(second).to_have_attribute("aria-current", "true", timeout=10 * SECOND)
    start = float(second.get_attribute("data-start") or 0)
    clock = "document.querySelector('audio').currentTime"
    until(lambda: call.evaluate(clock) > start + 0.1, 10, "the sound of the utterance")
    assert never_reloaded(call)
    assert never_reloaded(page)
    assert playing.wait(10) == 0

    stored = system.query("SELECT text FROM calls_utterance ORDER BY start, id")
    assert call.locator(".said").all_text_contents() == [text for (text,) in stored]
