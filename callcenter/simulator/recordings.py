"""The demo calls: spoken by flite, written for this project, kept with their scripts.

`make_recordings` makes the sound again from the scripts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from callcenter.sound.g711 import to_ulaw
from callcenter.sound.resampling import resample
from callcenter.sound.wav import open_wav

DIRECTORY = Path(__file__).parent / "recordings"
RATE = 8_000  # hertz
TRACKS = ("inbound", "outbound")
"""The caller and the agent: the left and the right channel."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Who says what: `start` and `end` in seconds from the start of the call."""

    track: str
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A call as a PBX knows it. `tracks` is µ-law at `RATE`, one byte a sample."""

    name: str
    tracks: Mapping[str, bytes]
    agent: str = ""
    queue: str = ""
    caller: str = ""
    callee: str = ""
    direction: str = ""
    script: tuple[Utterance, ...] = ()

    @property
    def seconds(self) -> float:
        return max(len(track) for track in self.tracks.values()) / RATE

    def said(self, track: str) -> str:
        """The script of one track."""
        return " ".join(u.text for u in self.script if u.track == track)


@lru_cache(maxsize=1)
def recordings() -> tuple[Recording, ...]:
    """All demo calls, by name."""
    return tuple(_recording(path) for path in sorted(DIRECTORY.glob("*.json")))


def _recording(path: Path) -> Recording:
    call: dict[str, Any] = json.loads(path.read_text())
    script = tuple(
        Utterance(line["track"], line["start"], line["end"], line["text"])
        for line in call["utterances"]
    )
    facts = {name: call[name] for name in ("agent", "queue", "caller", "callee", "direction")}
    sound = read_tracks(path.with_suffix(".wav"))
    return Recording(name=path.stem, tracks=sound, script=script, **facts)


def read_tracks(path: Path) -> dict[str, bytes]:
    """µ-law for each channel of any WAV file: one is inbound, two are inbound and outbound.

    Raises `NotAWav`, `OSError`.
    """
    wav = open_wav(path)
    return {
        track: to_ulaw(resample(wav.channel(number), wav.rate, RATE))
        for number, track in enumerate(TRACKS[: wav.channels])
    }
