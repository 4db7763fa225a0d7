"""One conversation through three doors: the same audio, the same words, whatever the network does.

With the real worker, and the real speech service failing a quarter of its requests.
"""

import base64
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from callcenter.embedded.engines import Urls
from callcenter.simulator.recordings import RATE, read_tracks
from callcenter.sound.wav import ulaw_file
from tests.browser.system import System
from tests.waiting import until

pytestmark = pytest.mark.processes

SPOKEN = [Path(__file__).parent.parent / "fixtures" / name for name in ("address-rms", "train-slt")]
DIALECTS = ("http", "asterisk", "twilio")
PACKETS = """
SELECT track, data FROM calls_packet AS packet JOIN calls_call AS call ON call.id = packet.call_id
WHERE call.call_id = %s ORDER BY sequence
"""


@pytest.fixture(scope="module")
def system(engines: Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    found = System(
        engines,
        tmp_path_factory.mktemp("system"),
        SPEECH_ENGINE="pocketsphinx",
        AI_FAILURE_RATE="0.25",
        AI_LATENCY="1-3",
    )
    found.prepare()
    found.start("web", "worker", "speech")
    yield found
    found.stop()


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    """Two who speak at once, on a channel each."""
    sounds = [read_tracks(path.with_suffix(".wav"))["inbound"] for path in SPOKEN]
    longest = max(len(sound) for sound in sounds)
    path = tmp_path / "conversation.wav"
    path.write_bytes(ulaw_file([sound.ljust(longest, b"\xff") for sound in sounds], RATE))
    return path


def test_a_recording_through_three_dialects_gives_the_same_audio_and_the_same_transcript(
    system: System, conversation: Path
) -> None:
    with ThreadPoolExecutor() as together:
        ids = together.map(lambda dialect: play(system, conversation, dialect), DIALECTS)
        heard = dict(zip(DIALECTS, ids, strict=True))
    spoken = read_tracks(conversation)
    for dialect, call_id in heard.items():
        assert stored_audio(system, call_id) == spoken, dialect
        assert system.send("GET", f"/call/{call_id}")["missing"] == 0, dialect
    until(lambda: all(result(system, call_id) for call_id in heard.values()), 90, "the results")
    said = [turns(system, call_id) for call_id in heard.values()]
    assert said[0] == said[1] == said[2]
    assert {"inbound", "outbound"} == {track for track, _ in said[0]}
    for path, (_, text) in zip(SPOKEN, sorted(said[0]), strict=False):
        script = path.with_suffix(".txt").read_text().lower().split()
        assert len(set(text.lower().split()) & set(script)) > len(set(script)) / 2


def test_chunks_that_come_twice_or_out_of_order_change_nothing(
    system: System, conversation: Path
) -> None:
    call_id = play(system, conversation, "twilio", "--reorder", "0.1", "--duplicate", "0.1")
    assert stored_audio(system, call_id) == read_tracks(conversation)
    assert system.send("GET", f"/call/{call_id}")["missing"] == 0


def test_chunks_that_never_come_are_missing_packets_and_gaps(
    system: System, conversation: Path
) -> None:
    call_id = play(system, conversation, "twilio", "--loss", "0.1", "--seed", "7")
    call = system.send("GET", f"/call/{call_id}")
    assert call["missing"] > 0
    assert len(call["metadata"]["gaps"]) > 5
    spoken = read_tracks(conversation)
    heard = stored_audio(system, call_id)
    assert all(0.8 < len(heard[track]) / len(spoken[track]) < 1 for track in spoken)


def play(system: System, recording: Path, dialect: str, *network: str) -> str:
    """The id of the call, which is stored whole: the command says so by its exit."""
    # The call's id comes from the name.
    named = shutil.copy(recording, recording.with_name(f"{dialect}.wav"))
    words = (*network, "--dialect", dialect, "--speed", "4", "--url", system.url)
    said = system.manage("play_calls", str(named), *words, "--api-key", system.api_key)
    return next(line.split()[0] for line in said.splitlines() if " began" in line)


def stored_audio(system: System, call_id: str) -> dict[str, bytes]:
    tracks = {"inbound": b"", "outbound": b""}
    for track, data in system.query(PACKETS, call_id):
        tracks[track] += base64.b64decode(data)
    return tracks


def result(system: System, call_id: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = system.send("GET", f"/call/{call_id}")["result"]
    return found


def turns(system: System, call_id: str) -> list[tuple[str, str]]:
    found = result(system, call_id)
    assert found is not None
    return [(one["track"], one["text"]) for one in found["utterances"]]
