"""The frames of one track, gathered into packets of 200 ms.

A frame that carries a time of its sender has it; of the others the first is taken to be of the
moment when it came, and each further one to follow on. A pause is believed only when what comes
after it comes at the pace of speech: audio that was held up comes in one burst, and is whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

from calls.ingest.media import Media

PACKET = 0.2  # seconds
UNEVEN = 0.1  # seconds by which a sender's times may waver without a frame being lost
PAUSE = 0.5  # seconds without a frame after which the rest is not waited for


@dataclass(frozen=True, slots=True)
class Packet:
    """Audio as it came; `timestamp` and `until` in seconds since the epoch."""

    raw: bytes
    timestamp: float
    until: float
    skipped: int = 0


class Gatherer:
    def __init__(self, media: Media, give: Callable[[Packet], None]) -> None:
        self.until: float | None = None  # where the audio given so far ends
        self.touched = 0.0
        self._give = give
        self._per_second = media.bytes_per_second
        self._full = round(self._per_second * PACKET)
        self._held = bytearray()
        self._begun = 0.0
        self._at: float | None = None
        self._skipped = 0

    @property
    def is_empty(self) -> bool:
        return not self._held

    def add(self, data: bytes, *, now: float, at: float | None = None) -> None:
        """A frame that came `now`, with the time of its sender if it has one."""
        held = self._held
        if not held:
            self._begun, self._at = now, at
        held += data
        self.touched = now
        while len(held) >= self._full:
            self._cut(self._full, now)

    def flush(self, *, now: float) -> None:
        if self._held:
            self._cut(len(self._held), now)

    def skip(self, packets: int, *, now: float) -> None:
        """So many packets are lost between what came and what will come."""
        self.flush(now=now)
        self._skipped += packets

    def _cut(self, size: int, now: float) -> None:
        raw = bytes(self._held[:size])
        del self._held[:size]
        seconds = size / self._per_second
        begin = self._timestamp(seconds, now)
        self.until = begin + seconds
        self._give(Packet(raw, begin, self.until, self._skipped))
        self._skipped, self._begun = 0, now
        self._at = None if self._at is None else self._at + seconds

    def _timestamp(self, seconds: float, now: float) -> float:
        if self._at is not None:
            follows = self.until is not None and abs(self._at - self.until) < UNEVEN
            return self.until if follows and not self._skipped else self._at  # type: ignore[return-value]
        if self.until is None:
            return self._begun
        paused = self._begun - self.until > PAUSE and now - self._begun >= seconds / 2
        return self._begun if paused else self.until
