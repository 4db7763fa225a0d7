"""Speaks the scripts of the demo calls again: `python -m callcenter.simulator.make_recordings`.

Needs flite (Debian: `apt install flite`) with its voices `rms` and `slt`. Each utterance begins
`pause` seconds after the one before it has ended (less than 0: it interrupts); where it came to
lie is written back into the script.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from callcenter.simulator.recordings import DIRECTORY, RATE, TRACKS
from callcenter.sound.g711 import to_ulaw
from callcenter.sound.resampling import resample
from callcenter.sound.wav import open_wav, ulaw_file

LOUDNESS = 12_000  # peak of the speech, of 32,768
SILENT = 60  # below this, flite has not begun or has ended
HISS = 10  # standard deviation of the noise on the line
LEAST = 15.0  # seconds
TAIL = 0.4  # seconds after the last word

Floats = NDArray[np.float64]


def main() -> None:
    for script in sorted(DIRECTORY.glob("*.json")):
        print(f"{script.stem}: {make(script):.1f} s")


def make(script: Path) -> float:
    """Write the recording beside its script; its length in seconds."""
    call = json.loads(script.read_text())
    spoken = [_speak(line["text"], call["voices"][line["track"]]) for line in call["utterances"]]
    end = _place(call["utterances"], spoken)
    seconds = max(end + TAIL, LEAST)
    # The same noise every time: an unchanged script gives an unchanged file.
    chance = np.random.default_rng(sum(script.stem.encode()))
    tracks = {track: chance.normal(0, HISS, round(seconds * RATE)) for track in TRACKS}
    for line, samples in zip(call["utterances"], spoken, strict=True):
        start = round(line["start"] * RATE)
        tracks[line["track"]][start : start + len(samples)] += samples
    if not spoken:
        _rustle(tracks["inbound"], chance)
    sound = [to_ulaw(np.rint(tracks[track]).astype(np.int16)) for track in TRACKS]
    script.with_suffix(".wav").write_bytes(ulaw_file(sound, RATE))
    script.write_text(json.dumps(call, indent=2) + "\n")
    return seconds


def _speak(text: str, voice: str) -> Floats:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(  # noqa: S603
            ["flite", "-voice", voice, "-t", text, "-o", file.name],  # noqa: S607
            check=True,
        )
        wav = open_wav(Path(file.name))
    samples = resample(wav.mono(), wav.rate, RATE).astype(np.float64)
    samples *= LOUDNESS / np.abs(samples).max()
    # The pauses are the script's.
    loud = np.flatnonzero(np.abs(samples) > SILENT)
    return samples[loud[0] : loud[-1]]


def _place(lines: list[dict[str, Any]], spoken: list[Floats]) -> float:
    """Give each line its `start` and `end`; when the last one ends, in seconds."""
    end = 0.0
    for line, samples in zip(lines, spoken, strict=True):
        line["start"] = round(end + line["pause"], 2)
        line["end"] = end = round(line["start"] + len(samples) / RATE, 2)
    return end


def _rustle(track: Floats, chance: np.random.Generator) -> None:
    """A few faint noises: somebody is there and says nothing."""
    for at, length, loudness in ((2.5, 0.2, 60), (6.0, 0.05, 150), (9.5, 0.4, 40), (13.0, 0.1, 90)):
        count = round(length * RATE)
        start = round(at * RATE)
        track[start : start + count] += chance.normal(0, loudness, count) * np.hanning(count)


if __name__ == "__main__":
    main()
