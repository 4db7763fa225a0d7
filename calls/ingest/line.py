"""One track of one socket: its packets, waiting for the database in order.

What waits is bounded. What finds no room is lost, and stands in the call as missing packets, as
silence of that length, and as a gap in its metadata.
"""

import base64
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from calls.ingest.gathering import PACKET, PAUSE, Gatherer, Packet
from calls.ingest.media import converted
from calls.ingest.numbering import Heard
from calls.ingest.ordering import Ordering
from calls.ingest.streams import Note, Opened, Opening

log = logging.getLogger(__name__)

MAX_WAITING = round(30 / PACKET)  # packets of a track
MOST_MISSING = round(600 / PACKET)  # packets that one gap counts as
SLIGHT = 0.1  # seconds; less between two connections is no gap


class Room:
    """How much audio a process holds for all its sockets, in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0

    @property
    def is_full(self) -> bool:
        return self.used >= self.size


class Line:
    def __init__(self, opening: Opening, room: Room, tell: Callable[[Note], None]) -> None:
        self.opening = opening
        self.opened: Opened | None = None
        self.is_closed = False
        self._warned = False
        self._room, self._tell = room, tell
        self._gatherer = Gatherer(opening.media, self._take)
        self._ordering = Ordering(self._add, self._miss)
        self._waiting: deque[Packet] = deque()
        self._stored = 0
        self._lost: list[tuple[float, float]] = []
        self._now = 0.0

    def hear(
        self, data: bytes, *, now: float, at: float | None = None, chunk: int | None = None
    ) -> None:
        """A frame; `at` in seconds since the epoch."""
        self._now = now
        if chunk is None:
            self._gatherer.add(data, now=now, at=at)
        else:
            self._ordering.take(chunk, data, at)

    def flush(self, *, now: float) -> None:
        """No more will come: all that did becomes packets."""
        self._now = now
        self._ordering.flush()
        self._gatherer.flush(now=now)
        self._tell_of_loss()

    def flush_if_quiet(self, *, now: float) -> None:
        """Nothing is held back because the rest of its packet does not come."""
        if not self._gatherer.is_empty and now - self._gatherer.touched > PAUSE:
            self._gatherer.flush(now=now)

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def due(self, most: int) -> list[Heard]:
        """The next packets to be stored, the same ones until they are `stored`."""
        return [
            self._heard(packet, place)
            for place, packet in enumerate(islice(self._waiting, most), self._stored + 1)
        ]

    def stored(self, count: int) -> None:
        count = min(count, len(self._waiting))
        if not self._stored and count:
            self._tell_of_hole(self._waiting[0].timestamp)
        for _ in range(count):
            self._room.used -= len(self._waiting.popleft().raw)
        self._stored += count

    def forget(self) -> None:
        """What waits can never be stored."""
        while self._waiting:
            self._room.used -= len(self._waiting.popleft().raw)

    def warn_once(self, words: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s of a PBX is not stored: %s", self.opening.track, words)

    def _heard(self, packet: Packet, place: int) -> Heard:
        assert self.opened is not None
        raw = converted(packet.raw, self.opening.media, self.opened.media)
        skipped = packet.skipped + (_packets(self._hole(packet.timestamp)) if place == 1 else 0)
        return Heard(
            call_id=self.opening.call_id,
            stream=self.opening.uid,
            place=place,
            data=base64.b64encode(raw).decode(),
            timestamp=packet.timestamp,
            track=self.opening.track,
            until=packet.until,
            skipped=min(skipped, MOST_MISSING),
        )

    def _hole(self, begin: float) -> float:
        """Seconds between an earlier connection's audio and this one's."""
        before = self.opened.heard_until if self.opened else None
        hole = 0.0 if before is None else begin - before
        return hole if hole > SLIGHT else 0.0

    def _tell_of_hole(self, begin: float) -> None:
        if hole := self._hole(begin):
            self._tell_of_gap(begin - hole, begin, "the connection was lost")

    def _add(self, data: bytes, at: float | None) -> None:
        self._gatherer.add(data, now=self._now, at=at)

    def _miss(self, chunks: int, data: bytes, at: float | None) -> None:
        """Chunks as long as the one behind them never came."""
        seconds = chunks * len(data) / self.opening.media.bytes_per_second
        seconds = min(seconds, MOST_MISSING * PACKET)
        end = self._now if at is None else at
        self._gatherer.skip(_packets(seconds, 0), now=self._now)
        self._tell_of_gap(end - seconds, end, "lost on the way")

    def _take(self, packet: Packet) -> None:
        if len(self._waiting) >= MAX_WAITING or self._room.is_full:
            self._lost.append((packet.timestamp, packet.until))
            return
        if self._lost:
            packet = replace(packet, skipped=packet.skipped + len(self._lost))
            self._tell_of_loss()
        self._waiting.append(packet)
        self._room.used += len(packet.raw)

    def _tell_of_loss(self) -> None:
        if self._lost:
            self._tell_of_gap(
                self._lost[0][0], self._lost[-1][1], "no room while the store was away"
            )
            self._lost.clear()

    def _tell_of_gap(self, begin: float, end: float, why: str) -> None:
        entry = {"track": self.opening.track, "from": _iso(begin), "to": _iso(end), "why": why}
        self._tell(Note(self.opening.call_id, "gaps", entry))


def _packets(seconds: float, slight: float = SLIGHT) -> int:
    return math.ceil(round(seconds / PACKET, 3)) if seconds > slight else 0


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
