"""Packets to audio: one mono 16-bit signal a track, gaps as silence. Pure."""

import base64
import binascii
import io
import wave
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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


class TimeLine:
    """Where the packets of one track lie, in samples from the start of the recording.

    A gap becomes silence by the timestamps, at most `MAX_GAP` each, and so does the time from
    `start` to the first packet; equal or backward timestamps simply follow on.
    """

    def __init__(self, *, rate: int, start: float) -> None:
        self.length = 0
        self._rate = rate
        self._clock = self._previous = start  # the sender's time at the end, and of the last packet

    def place(self, samples: int, timestamp: float) -> tuple[int, int]:
        """Where a packet of so many samples begins, and for how many of them there is room."""
        if timestamp < self._previous:
            self._clock = timestamp  # the sender's clock was set back
        gap = timestamp - self._clock
        if gap > JITTER:
            self._extend(round(min(gap, MAX_GAP) * self._rate))
            self._clock = timestamp
        begin = self.length
        self._extend(samples)
        self._clock += samples / self._rate
        self._previous = timestamp
        return begin, self.length - begin

    def _extend(self, samples: int) -> None:
        self.length = min(self.length + samples, round(MAX_LENGTH * self._rate))


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
    """The audio of one track from its packets in sequence order, as its `TimeLine` has them; what
    does not decode is left out.
    """
    line = TimeLine(rate=rate, start=start)
    placed: list[tuple[int, Samples]] = []
    for piece in pieces:
        samples = decode(piece.data, encoding=encoding)
        if samples is not None:
            begin, room = line.place(len(samples), piece.timestamp)
            placed.append((begin, samples[:room]))
    signal = np.zeros(line.length, np.int16)
    for begin, samples in placed:
        signal[begin : begin + len(samples)] = samples
    heard = sum(len(samples) for _, samples in placed)
    return Audio(signal, rate, (line.length - heard) / rate)


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
