"""The player of a call's page before a real browser, with a spoken call."""

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from callcenter.simulator.recordings import recordings
from tests.browser.calls import send_recording, transcribe
from tests.browser.conftest import SignedIn
from tests.browser.system import System
from tests.browser.test_access import violations
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SECOND = 1000.0  # milliseconds
PLAYED = max(recordings(), key=lambda one: len(one.script))
PATH = "/calls/p-1/"


@pytest.fixture
def call(system: System) -> str:
    """The address of a spoken call with its transcript."""
    send_recording(system, "p-1", PLAYED, without=range(30, 34))
    system.send("POST", "/call/p-1/end")
    transcribe(system, "p-1", PLAYED)
    return system.url + PATH


def open_call(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("canvas.waveform")).to_be_visible()


def now(page: Page) -> float:
    return float(page.evaluate("document.querySelector('audio').currentTime"))


def plays(page: Page) -> bool:
    return bool(page.evaluate("!document.querySelector('audio').paused"))


def speed(page: Page) -> float:
    return float(page.evaluate("document.querySelector('audio').playbackRate"))


def line(page: Page, number: int) -> Locator:
    return page.locator(".utterances li").nth(number)


def spoken(page: Page) -> Locator:
    return page.locator(".utterances li[aria-current=true] .said")


def test_a_click_on_an_utterance_plays_from_there(page: Page, call: str) -> None:
    open_call(page, call)
    line(page, 2).locator(".said").click()
    until(lambda: now(page) > PLAYED.script[2].start + 0.3, 10, "the sound of the utterance")
    assert now(page) < PLAYED.script[2].end
    expect(spoken(page)).to_have_text(PLAYED.script[2].text)
    assert plays(page)
    duration = page.evaluate("document.querySelector('audio').duration")
    assert duration == pytest.approx(PLAYED.seconds, abs=0.1)
    line(page, 1).get_by_role("link").click()
    expect(spoken(page)).to_have_text(PLAYED.script[1].text)
    assert page.url == call


def test_the_mark_goes_on_with_the_sound_and_stays_in_view(page: Page, call: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    open_call(page, call)
    page.get_by_label("Speed").select_option("2")
    line(page, 2).locator(".said").click()
    for number in (3, 4, 5):
        # Two may speak at the same time.
        said = spoken(page).filter(has_text=PLAYED.script[number].text)
        expect(said).to_be_in_viewport(timeout=10 * SECOND)
    expect(spoken(page)).to_have_count(0, timeout=10 * SECOND)


def test_keys_play_seek_and_change_the_speed(page: Page, call: str) -> None:
    open_call(page, call)
    page.keyboard.press("Space")
    until(lambda: plays(page) and now(page) > 0.1, 10, "the sound")
    page.keyboard.press("Space")
    assert not plays(page)
    at = now(page)
    page.keyboard.press("ArrowRight")
    assert now(page) == pytest.approx(at + 5, abs=0.1)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert now(page) == 0
    page.keyboard.press("Shift+ArrowRight")
    assert now(page) == pytest.approx(PLAYED.script[0].start, abs=0.01)
    page.keyboard.press("Shift+ArrowRight")
    expect(spoken(page)).to_have_text(PLAYED.script[1].text)
    page.keyboard.press("Shift+ArrowLeft")
    expect(spoken(page)).to_have_text(PLAYED.script[0].text)
    page.keyboard.press("Shift+ArrowUp")
    assert speed(page) == 1.25
    for _ in range(9):
        page.keyboard.press("Shift+ArrowDown")
    assert speed(page) == 0.5
    expect(page.get_by_label("Speed")).to_have_value("0.5")


def test_who_types_in_a_field_does_not_play(page: Page, call: str) -> None:
    open_call(page, call)
    page.get_by_label("Speed").focus()
    page.keyboard.press("ArrowDown")
    assert (now(page), speed(page)) == (0, 1.25)
    page.get_by_label("Keep what is spoken in view").focus()
    page.keyboard.press("Space")
    page.locator("summary", has_text="Keys").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("play, pause")).to_be_visible()
    assert not plays(page)


def test_a_click_on_the_waveform_seeks(page: Page, call: str) -> None:
    open_call(page, call)
    page.locator("canvas.waveform").click(position={"x": 400, "y": 20})
    width = page.locator("canvas.waveform").bounding_box()
    assert width
    assert now(page) == pytest.approx(PLAYED.seconds * 400 / width["width"], abs=0.1)
    assert not plays(page)


def test_an_address_leads_to_a_second(page: Page, call: str) -> None:
    open_call(page, f"{call}#t={PLAYED.script[3].start + 1}")
    expect(spoken(page)).to_have_text(PLAYED.script[3].text)
    assert not plays(page)


def test_news_of_the_call_do_not_interrupt_who_listens(
    page: Page, call: str, system: System
) -> None:
    open_call(page, call)
    page.evaluate("document.querySelector('audio').mark = 'the same player'")
    line(page, 2).locator(".said").click()
    until(lambda: now(page) > PLAYED.script[2].start + 0.2, 10, "the sound of the utterance")
    before = now(page)
    system.send("PUT", "/call/p-1", agent="Somebody else")
    expect(page.locator("#facts")).to_contain_text("Somebody else", timeout=2 * SECOND)
    system.query("UPDATE calls_utterance SET text = text || ' indeed' WHERE text <> ''")
    send_recording(system, "p-1", PLAYED)
    expect(page.locator("#player")).to_contain_text("More of the call came", timeout=4 * SECOND)
    expect(line(page, 0)).to_contain_text("indeed")
    assert page.evaluate("document.querySelector('audio').mark") == "the same player"
    assert plays(page)
    assert now(page) > before
    expect(spoken(page)).to_have_count(1)
    page.get_by_role("button", name="Load it again").click()
    until(lambda: plays(page) and now(page) > before + 0.5, 10, "the sound to go on")
    expect(page.get_by_role("button", name="Load it again")).to_be_hidden()


def test_the_player_comes_when_the_call_ends(page: Page, system: System) -> None:
    send_recording(system, "p-1", PLAYED)
    page.goto(system.url + PATH)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#player")).to_contain_text("once the call has ended")
    system.send("POST", "/call/p-1/end")
    expect(page.locator("canvas.waveform")).to_be_visible(timeout=5 * SECOND)
    transcribe(system, "p-1", PLAYED)
    line(page, 1).locator(".said").click(timeout=5 * SECOND)
    until(lambda: now(page) > PLAYED.script[1].start, 10, "the sound of the utterance")


def test_a_recording_that_cannot_be_loaded_says_so(page: Page, call: str) -> None:
    page.route("**/recording", lambda route: route.abort())
    open_call(page, call)
    page.keyboard.press("Space")
    expect(page.get_by_text("The recording could not be loaded.")).to_be_visible()
    page.unroute("**/recording")
    page.get_by_role("button", name="Load it again").click()
    page.keyboard.press("Space")
    until(lambda: now(page) > 0.1, 10, "the sound")
    expect(page.get_by_text("The recording could not be loaded.")).to_be_hidden()


def test_the_transcript_is_taken_along(page: Page, call: str) -> None:
    open_call(page, call)
    for name, file in [("WAV", "p-1.wav"), ("WebVTT", "p-1.vtt"), ("Text", "p-1.txt")]:
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.suggested_filename == file


def test_without_script_the_recording_plays_and_the_page_reads(
    chromium: Browser, signed_in: SignedIn, call: str
) -> None:
    context = chromium.new_context(
        storage_state=signed_in,  # type: ignore[arg-type]
        java_script_enabled=False,
    )
    page = context.new_page()
    page.goto(call)
    expect(page.locator("audio")).to_be_visible()
    expect(page.get_by_label("Speed")).to_be_hidden()
    expect(page.get_by_role("img", name="Sentiment over the call.")).to_be_visible()
    expect(page.get_by_role("img", name="4 missing")).to_be_visible()
    link = line(page, 2).get_by_role("link").get_attribute("href")
    assert link == f"{PATH}recording#t={PLAYED.script[2].start:.3f}"
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_player_keeps_nobody_out_and_fits(page: Page, call: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_call(page, call)
    page.locator("summary", has_text="Keys").click()
    line(page, 1).locator(".said").click()
    until(lambda: now(page) > PLAYED.script[1].start, 10, "the sound of the utterance")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
