"""Finished recordings become calls, through the real API."""

import wave
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from callcenter.embedded.engines import Urls
from callcenter.importing import sound
from callcenter.simulator.packets import packetise
from callcenter.simulator.recordings import DIRECTORY, read_tracks
from callcenter.sound.wav import open_wav
from calls.ai.audio import Piece, assemble_tracks
from calls.models import Call, Packet
from tests.factories import api_key
from tests.processes import web


def tone(path: Path, *, rate: int, channels: int, seconds: float) -> Path:
    """A different tone in each channel."""
    at = np.arange(round(rate * seconds)) / rate
    waves = [np.sin(2 * np.pi * 440 * (n + 1) * at) * 10_000 for n in range(channels)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.stack(waves, axis=1).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_read_in_parts_sounds_as_if_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int, channels: int
) -> None:
    path = tone(tmp_path / "tone.wav", rate=rate, channels=channels, seconds=4.7)
    monkeypatch.setattr(sound, "PART", 2)
    assert list(sound.packets(open_wav(path))) == packetise(read_tracks(path))


@pytest.mark.django_db(transaction=True)
@pytest.mark.processes
def test_recordings_become_ended_calls_and_once_only(engines: Urls, tmp_path: Path) -> None:
    spoken = DIRECTORY / "thanks.wav"
    stereo = tone(tmp_path / "monday call.wav", rate=44_100, channels=2, seconds=1.0)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF but no more")
    words = ["--api-key", api_key(), str(spoken), str(stereo), str(broken)]
    with web(urls=engines, home=tmp_path) as url:
        for expected in ("acknowledged as new", "acknowledged as duplicate"):
            output = StringIO()
            with pytest.raises(SystemExit) as end:
                call_command("import_recordings", "--url", url, *words, stdout=output)
            assert end.value.code == 1
            assert "broken.wav: the file is not a WAV file" in output.getvalue()
            sent = Packet.objects.count()
            assert f"{expected:<26}{sent:>10,}" in output.getvalue()
    assert Call.objects.count() == 2
    call = Call.objects.get(call_id__endswith="-monday_call")
    assert (call.state, call.end_reason, call.missing) == ("COMPLETED", "hangup", 0)
    assert call.metadata == {"file": "monday call.wav"}
    pieces: dict[str, list[Piece]] = {"inbound": [], "outbound": []}
    for packet in Packet.objects.filter(call=call).order_by("sequence"):
        pieces[packet.track].append(Piece(packet.data, packet.timestamp))
    audio = assemble_tracks(pieces, encoding=call.encoding, rate=call.sample_rate)
    assert {track: round(one.seconds, 2) for track, one in audio.items()} == {
        "inbound": 1.0,
        "outbound": 1.0,
    }
