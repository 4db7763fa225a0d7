"""The demo calls: as they must be, and as the real engine hears them."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import jiwer
import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from callcenter.simulator.make_recordings import make
from callcenter.simulator.recordings import DIRECTORY, RATE, TRACKS, Recording, recordings
from callcenter.sound.wav import Format, open_wav, ulaw_file
from callcenter.speech.pool import Recognisers
from callcenter.speech.transcription import Transcription

# Heard once, by one process of the tests.
pytestmark = pytest.mark.xdist_group("speech")

MB = 1_000_000
NAMES = {"booking", "cancellation", "delivery", "fault", "refund", "silence", "thanks"}

Heard = Mapping[tuple[str, str], Transcription]


def words(text: str) -> str:
    kept = "".join(c for c in text.lower() if c.isalpha() or c in " '")
    return " ".join(kept.split())


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """What the real engine hears on each track of each call."""
    return asyncio.run(listen(tmp_path_factory.mktemp("tracks")))


async def listen(home: Path) -> Heard:
    recognisers = Recognisers(2)
    tracks = [(recording, track) for recording in recordings() for track in TRACKS]

    async def transcribe(recording: Recording, track: str) -> Transcription:
        path = home / f"{recording.name}-{track}.wav"
        path.write_bytes(ulaw_file([recording.tracks[track]], RATE))
        return await recognisers.transcribe(path)

    found = await asyncio.gather(*(transcribe(*one) for one in tracks))
    await recognisers.stop()
    return {(call.name, track): said for (call, track), said in zip(tracks, found, strict=True)}


def test_there_are_the_calls_that_were_asked_for() -> None:
    assert {recording.name for recording in recordings()} == NAMES


def test_they_are_telephone_sound_and_small() -> None:
    files = [open_wav(path) for path in DIRECTORY.glob("*.wav")]
    assert {(file.format, file.rate, file.channels) for file in files} == {(Format.ULAW, 8_000, 2)}
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir()) <= 2 * MB


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.name)
def test_each_is_a_whole_two_sided_call(recording: Recording) -> None:
    assert 15 <= recording.seconds <= 40
    assert all((recording.agent, recording.queue, recording.caller, recording.callee))
    assert recording.direction in ("inbound", "outbound")
    assert len({len(track) for track in recording.tracks.values()}) == 1
    assert {line.track for line in recording.script} in ({"inbound", "outbound"}, set())
    assert all(0 <= line.start < line.end <= recording.seconds for line in recording.script)


def test_one_call_is_nearly_silent_and_nobody_hears_words_in_it(heard: Heard) -> None:
    assert [r.name for r in recordings() if not r.script] == ["silence"]
    assert [heard["silence", track].utterances for track in TRACKS] == [(), ()]


def test_the_engine_hears_most_words_of_all_calls(heard: Heard) -> None:
    """Over all words of all tracks: at most four errors in ten words."""
    scripts = {(r.name, t): words(r.said(t)) for r in recordings() for t in TRACKS if r.said(t)}
    said = {key: words(heard[key].text) for key in scripts}
    for name, track in scripts:
        errors = jiwer.wer(scripts[name, track], said[name, track])
        print(f"{name:<14}{track:<10}{errors:.2f}")
    overall = jiwer.wer(list(scripts.values()), list(said.values()))
    print(f"word error rate over all calls: {overall:.3f}")
    assert overall <= 0.40


def test_the_utterances_lie_where_the_script_has_them(heard: Heard) -> None:
    """Each middle of an utterance that was heard lies in a line of the script."""
    for recording in recordings():
        for track in TRACKS:
            lines = [line for line in recording.script if line.track == track]
            for utterance in heard[recording.name, track].utterances:
                middle = (utterance.start + utterance.end) / 2
                assert any(line.start <= middle <= line.end for line in lines)


def test_the_caller_who_cancels_is_heard_to_be_furious(heard: Heard) -> None:
    assert mood(heard["cancellation", "inbound"].text) < -0.5


def test_the_caller_who_gives_thanks_is_heard_to_be_happy(heard: Heard) -> None:
    assert mood(heard["thanks", "inbound"].text) > 0.5


def mood(text: str) -> float:
    scores: dict[str, float] = SentimentIntensityAnalyzer().polarity_scores(text)
    return scores["compound"]


@pytest.mark.skipif(not shutil.which("flite"), reason="flite speaks the scripts")
def test_the_sound_can_be_made_again_from_the_script(tmp_path: Path) -> None:
    script = tmp_path / "refund.json"
    kept = json.loads((DIRECTORY / "refund.json").read_text())
    lines = [{key: line[key] for key in ("track", "pause", "text")} for line in kept["utterances"]]
    script.write_text(json.dumps({**kept, "utterances": lines}))
    seconds = make(script)
    assert seconds == pytest.approx(open_wav(DIRECTORY / "refund.wav").seconds, abs=0.5)
    assert open_wav(script.with_suffix(".wav")).channels == 2
    made = json.loads(script.read_text())["utterances"]
    assert [line["start"] for line in made] == pytest.approx(
        [line["start"] for line in kept["utterances"]], abs=0.5
    )
