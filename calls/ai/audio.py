"""Packets to audio: one mono 16-bit signal a track, gaps as silence. Pure."""

import base64
import binascii
import io
import wave
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calls.states import Encoding

Samples = NDArray[np.int16]

MAX_GAP = 10.0  # seconds of silence that one gap becomes at most
MAX_LENGTH = 4 * 3600.0  # seconds of audio a track
JITTER = 0.01  # seconds; timestamps that differ by less are taken to follow on


@dataclass(frozen=True, slots=True)
class Piece:
    """What the audio needs of a packet; `timestamp` in seconds."""

    data: str
    timestamp: float


@dataclass(frozen=True, slots=True)
class Audio:
    """One track: samples at `rate` hertz, and how many seconds of them stand for gaps."""

    samples: Samples
    rate: int
    silence: float = 0.0

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def wav(self) -> bytes:
        """The track as a RIFF file, mono, 16 bit."""
        target = io.BytesIO()
        with wave.open(target, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(self.rate)
            writer.writeframes(self.samples.astype("<i2").tobytes())
        return target.getvalue()


@dataclass(slots=True)
class _Assembly:
    """A track under construction; `clock` is the sender's time at its end."""

    rate: int
    clock: float
    previous: float
    parts: list[Samples] = field(default_factory=list)
    length: int = 0
    silence: int = 0

    def add(self, samples: Samples, timestamp: float) -> None:
        if timestamp < self.previous:
            self.clock = timestamp  # the sender's clock was set back
        gap = timestamp - self.clock
        if gap > JITTER:
            self._extend(np.zeros(round(min(gap, MAX_GAP) * self.rate), np.int16), silent=True)
            self.clock = timestamp
        self._extend(samples, silent=False)
        self.clock += len(samples) / self.rate
        self.previous = timestamp

    def _extend(self, samples: Samples, *, silent: bool) -> None:
        room = round(MAX_LENGTH * self.rate) - self.length
        samples = samples[: max(room, 0)]
        self.parts.append(samples)
        self.length += len(samples)
        self.silence += len(samples) if silent else 0


def assemble_tracks(
    tracks: Mapping[str, Sequence[Piece]], *, encoding: str, rate: int
) -> dict[str, Audio]:
    """The audio of the tracks that have any, on one time line that begins with the first of it."""
    starts = {name: _first_timestamp(pieces, encoding) for name, pieces in tracks.items()}
    audible = {name: start for name, start in starts.items() if start is not None}
    begin = min(audible.values(), default=0.0)
    return {
        name: assemble(tracks[name], encoding=encoding, rate=rate, start=begin) for name in audible
    }


def assemble(pieces: Iterable[Piece], *, encoding: str, rate: int, start: float) -> Audio:
    """The audio of one track from its packets in sequence order.

    A gap becomes silence by the timestamps, at most `MAX_GAP` each, and so does the time from
    `start` to the first packet; equal or backward timestamps simply follow on; what does not
    decode is left out.
    """
    track = _Assembly(rate=rate, clock=start, previous=start)
    for piece in pieces:
        samples = decode(piece.data, encoding=encoding)
        if samples is not None:
            track.add(samples, piece.timestamp)
    samples = np.concatenate(track.parts) if track.parts else np.zeros(0, np.int16)
    return Audio(samples, rate, track.silence / rate)


def _first_timestamp(pieces: Sequence[Piece], encoding: str) -> float | None:
    decodable = (p.timestamp for p in pieces if decode(p.data, encoding=encoding) is not None)
    return next(decodable, None)


def decode(data: str, *, encoding: str) -> Samples | None:
    """The samples of one packet; None unless it is strict base64 of at least one sample."""
    try:
        raw = base64.b64decode(data.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    if encoding == Encoding.L16:
        raw = raw[: len(raw) // 2 * 2]
    return _samples(raw, encoding) if raw else None


def _samples(raw: bytes, encoding: str) -> Samples:
    if encoding == Encoding.L16:
        return np.frombuffer(raw, ">i2").astype(np.int16)
    return _TABLES[Encoding(encoding)][np.frombuffer(raw, np.uint8)]


def _mulaw_table() -> Samples:
    """ITU-T G.711, table 2a: the value of each of the 256 µ-law codes, scaled to 16 bit."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = ((mantissa << 3) + 0x84 << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_table() -> Samples:
    """ITU-T G.711, table 1a: the value of each of the 256 A-law codes, scaled to 16 bit."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    linear = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, linear, linear + 0x100 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_TABLES = {Encoding.MULAW: _mulaw_table(), Encoding.ALAW: _alaw_table()}
