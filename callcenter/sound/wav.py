"""RIFF WAVE files, read where they lie: a track of four hours is never in memory as a whole.

Unlike the standard library's `wave`, this reads and writes G.711 and bears the length that a
streaming writer left open. https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from callcenter.sound.g711 import Samples, from_alaw, from_ulaw

RATES = range(8_000, 48_001)  # hertz
MAX_CHANNELS = 2
MAX_CHUNKS = 1_000
EXTENSIBLE = 0xFFFE


class NotAWav(ValueError):
    """The bytes are not a WAV file that we can read; why, in words for its sender."""


class Format(IntEnum):
    PCM = 1
    ALAW = 6
    ULAW = 7

    @property
    def bits(self) -> int:
        return 16 if self is Format.PCM else 8


@dataclass(frozen=True, slots=True)
class Wav:
    """Sampled sound: `rate` in hertz, `data` the bytes of all frames."""

    format: Format
    rate: int
    channels: int
    data: memoryview

    @property
    def frames(self) -> int:
        return len(self.data) // self._frame_bytes

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    @property
    def _frame_bytes(self) -> int:
        return self.channels * self.format.bits // 8

    def channel(self, number: int, start: int = 0, stop: int | None = None) -> Samples:
        """The samples of one channel, from frame `start` to before frame `stop`."""
        return self._samples(start, stop)[:, number]

    def mono(self, start: int = 0, stop: int | None = None) -> Samples:
        """The mean of the channels, from frame `start` to before frame `stop`."""
        samples = self._samples(start, stop)
        if self.channels == 1:
            return samples[:, 0]
        mean: Samples = samples.mean(axis=1).astype(np.int16)
        return mean

    def _samples(self, start: int, stop: int | None) -> Samples:
        stop = self.frames if stop is None else min(stop, self.frames)
        raw = bytes(self.data[start * self._frame_bytes : stop * self._frame_bytes])
        return _linear(raw, self.format).reshape(-1, self.channels)


def _linear(raw: bytes, format_: Format) -> Samples:
    if format_ is Format.ULAW:
        return from_ulaw(raw)
    if format_ is Format.ALAW:
        return from_alaw(raw)
    return np.frombuffer(raw, "<i2").astype(np.int16)


def open_wav(path: Path) -> Wav:
    """The file at `path`, mapped into memory. Raises `NotAWav`, `OSError`."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise NotAWav("the file is empty")
        return read_wav(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def read_wav(raw: memoryview) -> Wav:
    """Raises `NotAWav`."""
    if bytes(raw[:4]) != b"RIFF" or bytes(raw[8:12]) != b"WAVE":
        raise NotAWav("the file is not a WAV file: it does not begin with RIFF … WAVE")
    header: memoryview | None = None
    for name, body in _chunks(raw):
        if name == b"fmt ":
            header = body
        elif name == b"data":
            if header is None:
                raise NotAWav("the WAV file has sound before it says in which format")
            return _wav(header, body)
    raise NotAWav("the WAV file has no sound: a data chunk is missing")


def _chunks(raw: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(raw):
            return
        name, size = struct.unpack_from("<4sI", raw, at)
        # A streaming writer that could not go back leaves 0 or the highest number.
        end = len(raw) if name == b"data" and size == 0 else at + 8 + size
        yield name, raw[at + 8 : end]
        at = end + end % 2


def _wav(header: memoryview, data: memoryview) -> Wav:
    if len(header) < 16:
        raise NotAWav("the WAV file's format chunk is too short")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", header)
    if code == EXTENSIBLE and len(header) >= 26:
        (code,) = struct.unpack_from("<H", header, 24)
    if code not in set(Format) or bits != Format(code).bits:
        raise NotAWav("the WAV file is neither 16-bit PCM nor G.711 µ-law or a-law")
    if not 1 <= channels <= MAX_CHANNELS:
        raise NotAWav(f"the WAV file has {channels} channels, not 1 or {MAX_CHANNELS}")
    if rate not in RATES:
        raise NotAWav(f"the WAV file has {rate} Hz, not {RATES[0]} to {RATES[-1]} Hz")
    whole = len(data) - len(data) % (channels * bits // 8)
    return Wav(Format(code), rate, channels, data[:whole])


def ulaw_file(tracks: list[bytes], rate: int) -> bytes:
    """A µ-law WAV file with one channel a track; the tracks are equally long."""
    data = np.stack([np.frombuffer(track, np.uint8) for track in tracks], axis=1).tobytes()
    channels = len(tracks)
    header = struct.pack("<HHIIHHH", Format.ULAW, channels, rate, rate * channels, channels, 8, 0)
    chunks = b"".join(
        struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
        for name, body in (
            (b"fmt ", header),
            (b"fact", struct.pack("<I", len(tracks[0]))),
            (b"data", data),
        )
    )
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks
