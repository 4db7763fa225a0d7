"""Numbers for packets that came without: those of PBX sockets, numbered under their call's lock.

What was stored of a stream is remembered in the same transaction, so that a transaction that is
tried again, not knowing whether it was committed, stores nothing twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from calls.statements import execute

# Answers with what was stored before: the streams of a call change under its lock only.
REMEMBER = """
UPDATE calls_stream AS stream
SET stored = greatest(stream.stored, heard.stored),
    heard_until = greatest(stream.heard_until, heard.until)
FROM unnest(%b::uuid[], %b::int[], %b::float8[]) AS heard (uid, stored, until)
JOIN calls_stream AS before ON before.uid = heard.uid
WHERE stream.uid = heard.uid
RETURNING stream.uid, before.stored
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A valid packet as it came; `timestamp` is the sender's, in seconds since the epoch."""

    call_id: str
    sequence: int
    data: str
    timestamp: float
    track: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A packet of a stream, whose packets come in order; `place` counts them from 1.

    `skipped` packets before it were lost, which leaves their numbers free; `until` is the time at
    which its audio ends.
    """

    call_id: str
    stream: UUID
    place: int
    data: str
    timestamp: float
    track: str
    until: float
    skipped: int = 0


Given = Arrival | Heard


def number(given: Sequence[Given], last: Mapping[str, int | None]) -> list[Arrival | None]:
    """Every packet with its number, None for those that are stored already.

    `last` holds the highest numbers of the calls, which are locked. Whoever numbers packets
    himself comes first: numbers of ours never take the place of his.
    """
    heard = [packet for packet in given if isinstance(packet, Heard)]
    if not heard:
        return list(given)  # type: ignore[arg-type]
    stored = _remember(heard)
    highest = {name: number or 0 for name, number in last.items()}
    for packet in given:
        if isinstance(packet, Arrival):
            highest[packet.call_id] = max(highest[packet.call_id], packet.sequence)
    return [_numbered(packet, stored, highest) for packet in given]


def _numbered(packet: Given, stored: dict[UUID, int], highest: dict[str, int]) -> Arrival | None:
    if isinstance(packet, Arrival):
        return packet
    if packet.place <= stored.get(packet.stream, 0):
        return None
    stored[packet.stream] = packet.place
    highest[packet.call_id] += 1 + packet.skipped
    sequence = highest[packet.call_id]
    return Arrival(packet.call_id, sequence, packet.data, packet.timestamp, packet.track)


def _remember(heard: Iterable[Heard]) -> dict[UUID, int]:
    """Notes the last of each stream; how many were stored before."""
    last = {packet.stream: packet for packet in heard}
    columns = [
        list(last),
        [packet.place for packet in last.values()],
        [packet.until for packet in last.values()],
    ]
    return dict(execute(REMEMBER, columns).fetchall())
