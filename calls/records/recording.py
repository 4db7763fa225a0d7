"""The recording of a call as one WAV file: mono, or stereo with the caller on the left."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from calls.ai.audio import Samples
from calls.models import Call
from calls.records.packet_audio import packet_audio
from calls.records.stored_audio import stored_audio
from calls.states import Outcome, State

HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")  # RIFF, "fmt " and the head of "data"
PCM, WIDTH = 1, 2  # 16 bit
AT_ONCE = 1 << 20  # bytes


class NoRecording(Exception):
    """A call without sound; says why, to the person who wants to hear it."""


class Sound(Protocol):
    """Where the sound comes from; `rate` in hertz, `length` in samples a track.

    Equal tags mean equal sound. `samples` has one row a sample and one column a track, and may
    raise `PacketsGone` or `StorageFailed`.
    """

    @property
    def tracks(self) -> tuple[str, ...]: ...
    @property
    def rate(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def tag(self) -> str: ...
    def samples(self, first: int, last: int) -> Samples: ...


@dataclass(frozen=True, slots=True)
class Recording:
    """Any stretch of the file, made when it is asked for: it never lies in memory as a whole."""

    sound: Sound

    @property
    def seconds(self) -> float:
        return self.sound.length / self.sound.rate

    @property
    def size(self) -> int:
        """Bytes."""
        return HEADER.size + self.sound.length * self._step

    def read(self, first: int, last: int) -> bytes:
        """The bytes from `first` up to `last`, which is excluded."""
        head = self._header()[first:last]
        first, last = max(first - HEADER.size, 0), max(last - HEADER.size, 0)
        begin, end = first // self._step, -(-last // self._step)
        if begin >= end:
            return head
        sound = self.sound.samples(begin, end).astype("<i2").tobytes()
        return head + sound[first - begin * self._step : last - begin * self._step]

    def stretches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The same in pieces, each small enough to be read at once."""
        for begin in range(first, last, AT_ONCE):
            yield begin, min(begin + AT_ONCE, last)

    @property
    def _step(self) -> int:
        """Bytes of one sample of all tracks."""
        return WIDTH * len(self.sound.tracks)

    def _header(self) -> bytes:
        rate, tracks, data = self.sound.rate, len(self.sound.tracks), self.size - HEADER.size
        form = (b"fmt ", 16, PCM, tracks, rate, rate * self._step, self._step, 8 * WIDTH)
        return HEADER.pack(b"RIFF", self.size - 8, b"WAVE", *form, b"data", data)


def recording_of(call: Call) -> Recording:
    """The call's recording, from wherever its sound is kept. Raises `NoRecording`."""
    sound = _sound(call)
    if not sound.tracks:
        raise NoRecording(_why_none(call))
    return Recording(sound)


def tracks_of(call: Call) -> dict[str, Recording]:
    """Each track of a call whose packets are still there as a file of its own."""
    return {track: Recording(sound) for track, sound in packet_audio(call).apart.items()}


def may_be_heard(call: Call) -> bool:
    """Whether there is a recording to offer, as far as that is known without looking for it."""
    return bool(call.ended_at and call.packet_count and call.ai_outcome != Outcome.NO_AUDIO)


def _sound(call: Call) -> Sound:
    return stored_audio(call) if call.state == State.ARCHIVED else packet_audio(call)


def _why_none(call: Call) -> str:
    if not call.packet_count:
        return f"call {call.call_id} has no recording: not one packet of it came"
    return f"call {call.call_id} has no recording: none of its packets holds audio"
