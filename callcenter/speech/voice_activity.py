"""Where on a track somebody speaks."""

from collections.abc import Iterator
from dataclasses import dataclass

from pocketsphinx import Endpointer

from callcenter.sound.wav import Wav

PADDING = 0.2  # seconds; soft beginnings and ends are easily taken for silence
LONGEST = 15.0  # seconds; bounds the work that nothing can interrupt


@dataclass(frozen=True, slots=True)
class Stretch:
    """Seconds from the start of the track."""

    start: float
    end: float


def stretches(wav: Wav) -> Iterator[Stretch]:
    """The stretches of speech, padded, in order, without overlap, `LONGEST` each at most."""
    heard = 0.0
    for speech in _speech(wav):
        start = max(speech.start - PADDING, heard)
        heard = min(speech.end + PADDING, wav.seconds)
        while heard - start > LONGEST:
            yield Stretch(start, start + LONGEST)
            start += LONGEST
        if heard > start:
            yield Stretch(start, heard)


def _speech(wav: Wav) -> Iterator[Stretch]:
    endpointer = Endpointer(sample_rate=wav.rate)
    step = endpointer.frame_bytes // 2
    last = max(wav.frames - 1, 0) // step * step
    for at in range(0, last, step):
        frame = wav.mono(at, at + step).tobytes()
        if endpointer.process(frame) is not None and not endpointer.in_speech:
            yield Stretch(endpointer.speech_start, endpointer.speech_end)
    # It wants at least one sample to end on.
    rest = wav.mono(last).tobytes()
    if rest and endpointer.end_stream(rest) is not None:
        yield Stretch(endpointer.speech_start, endpointer.speech_end)
