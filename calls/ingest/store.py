"""Packets into the table, under the lock of their call; what is returned has been committed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from calls import events
from calls.ingest.numbering import Arrival, Given, number
from calls.models import Call
from calls.models.call import count_missing
from calls.statements import execute
from calls.states import State

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told: stored for good, unless `refused` says why not."""

    call_id: str
    sequence: int
    duplicate: bool = False
    late: bool = False
    next_sequence: int = 0
    missing: int = 0
    received_at: datetime | None = None
    message: str | None = None
    refused: str | None = None


@dataclass(slots=True)
class _Tally:
    """A locked call, and what one batch does to it."""

    pk: int
    call_id: str
    state: str
    packet_count: int
    last_sequence: int | None
    has_packet_zero: bool
    missing_before: int = 0
    stored: int = 0
    out_of_order: int = 0
    doubled: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.missing_before = self.missing

    @property
    def missing(self) -> int:
        return count_missing(self.packet_count, self.last_sequence, self.has_packet_zero)

    @property
    def is_late(self) -> bool:
        return self.state != State.IN_PROGRESS

    @property
    def takes_packets(self) -> bool:
        return self.state != State.ARCHIVED

    def count(self, sequence: int) -> None:
        """Counts a packet that is new."""
        highest = -1 if self.last_sequence is None else self.last_sequence
        self.stored += 1
        self.packet_count += 1
        self.out_of_order += sequence < highest
        self.last_sequence = max(highest, sequence)
        self.has_packet_zero |= sequence == 0


# What `Call.objects.locked()` does; written out, for compiling it anew for every batch took a
# fifth of the interpreter's time.
LOCK_CALLS = """
SELECT id, call_id, state, packet_count, last_sequence, has_packet_zero
FROM calls_call
WHERE call_id = ANY(%b::text[])
ORDER BY id
FOR NO KEY UPDATE
"""

NOTE_DUPLICATES = """
INSERT INTO calls_duplicate AS known (call_id, sequence, times)
SELECT call_id, sequence, count(*)
FROM unnest(%b::bigint[], %b::int[]) AS again (call_id, sequence)
GROUP BY call_id, sequence
ON CONFLICT (call_id, sequence) DO UPDATE SET times = known.times + excluded.times
"""

INSERT_PACKETS = """
INSERT INTO calls_packet (call_id, sequence, track, data, timestamp, late, received_at)
SELECT call_id, sequence, track, data, timestamp, late, %b
FROM unnest(%b::bigint[], %b::int[], %b::text[], %b::text[], %b::float8[], %b::bool[])
  AS arrival (call_id, sequence, track, data, timestamp, late)
ON CONFLICT (call_id, sequence) DO NOTHING
RETURNING call_id, sequence
"""

UPDATE_CALLS = """
UPDATE calls_call AS call
SET packet_count = call.packet_count + tally.stored,
    last_sequence = tally.last_sequence,
    has_packet_zero = tally.has_packet_zero,
    duplicates = call.duplicates + tally.duplicates,
    late = call.late + tally.late,
    out_of_order = call.out_of_order + tally.out_of_order,
    unread_late = call.unread_late OR tally.late > 0,
    version = call.version + 1,
    last_packet_at = %b,
    updated_at = %b
FROM unnest(%b::bigint[], %b::int[], %b::int[], %b::bool[], %b::int[], %b::int[], %b::int[])
  AS tally (id, stored, last_sequence, has_packet_zero, duplicates, late, out_of_order)
WHERE call.id = tally.id
"""


def store(arrivals: Sequence[Given], *, now: datetime) -> list[Receipt]:
    """Stores each packet once, creating calls that are new; one receipt a packet, in order.

    Safe beside any number of others doing the same: unknown calls are created in a commit of
    their own, so that the locks are always taken on existing rows in the order of their keys.
    """
    names = {arrival.call_id for arrival in arrivals}
    while True:
        with transaction.atomic():
            rows = execute(LOCK_CALLS, [list(names)])
            calls = {row[1]: _Tally(*row) for row in rows}
            if len(calls) == len(names):
                return _store_locked(arrivals, calls, now=now)
        create_calls(names - calls.keys(), now=now)


def create_calls(names: set[str], *, now: datetime) -> None:
    """Creates the calls that are not there; somebody else may be doing the same."""
    Call.objects.bulk_create(
        [Call(call_id=name, created_at=now, updated_at=now) for name in sorted(names)],
        ignore_conflicts=True,
    )


def _store_locked(
    given: Sequence[Given], calls: Mapping[str, _Tally], *, now: datetime
) -> list[Receipt]:
    last = {call.call_id: call.last_sequence for call in calls.values()}
    numbered = number(given, last)
    arrivals = [arrival for arrival in numbered if arrival]
    new = _insert([a for a in arrivals if calls[a.call_id].takes_packets], calls, now=now)
    receipts = [
        _receive(arrival, calls[arrival.call_id], new, now)
        if arrival
        else Receipt(packet.call_id, 0, duplicate=True)
        for packet, arrival in zip(given, numbered, strict=True)
    ]
    _note_duplicates([call for call in calls.values() if call.doubled])
    _update([call for call in calls.values() if call.stored or call.doubled], now=now)
    for call in calls.values():
        _warn(call)
    return receipts


def _insert(
    arrivals: Sequence[Arrival], calls: Mapping[str, _Tally], *, now: datetime
) -> set[tuple[int, int]]:
    """Adds the packets that are not there; the keys of those that were new."""
    owners = [calls[arrival.call_id] for arrival in arrivals]
    columns = [
        [call.pk for call in owners],
        [arrival.sequence for arrival in arrivals],
        [arrival.track for arrival in arrivals],
        [arrival.data for arrival in arrivals],
        [arrival.timestamp for arrival in arrivals],
        [call.is_late for call in owners],
    ]
    return set(execute(INSERT_PACKETS, [now, *columns]).fetchall())


def _receive(arrival: Arrival, call: _Tally, new: set[tuple[int, int]], now: datetime) -> Receipt:
    """Counts one packet into its call and says so; each key is new once."""
    if not call.takes_packets:
        words = f"call {call.call_id} is archived and takes no more packets"
        return Receipt(call.call_id, arrival.sequence, refused=words)
    key = (call.pk, arrival.sequence)
    duplicate = key not in new
    if duplicate:
        call.doubled.append(arrival.sequence)
    else:
        new.discard(key)
        call.count(arrival.sequence)
    return Receipt(
        call.call_id,
        arrival.sequence,
        duplicate=duplicate,
        late=call.is_late,
        next_sequence=(call.last_sequence or 0) + 1,
        missing=call.missing,
        received_at=now,
        message=_message(duplicate=duplicate, late=call.is_late),
    )


def _message(*, duplicate: bool, late: bool) -> str | None:
    if duplicate:
        return "duplicate: this sequence was stored before"
    return "late: the call had already ended; the packet is stored" if late else None


def _note_duplicates(calls: Sequence[_Tally]) -> None:
    """Where they fell: each beside a packet that is stored, so there are never more of them."""
    again = [(call.pk, sequence) for call in calls for sequence in call.doubled]
    if again:
        execute(NOTE_DUPLICATES, [list(column) for column in zip(*again, strict=True)])


def _update(calls: Sequence[_Tally], *, now: datetime) -> None:
    if not calls:
        return
    columns = [
        [call.pk for call in calls],
        [call.stored for call in calls],
        [call.last_sequence for call in calls],
        [call.has_packet_zero for call in calls],
        [len(call.doubled) for call in calls],
        [call.stored if call.is_late else 0 for call in calls],
        [call.out_of_order for call in calls],
    ]
    execute(UPDATE_CALLS, [now, now, *columns])
    events.changed([call.pk for call in calls], packets=sum(call.stored for call in calls))


def _warn(call: _Tally) -> None:
    """One line a call and batch, so that a bad line does not drown the log."""
    late = call.stored if call.is_late else 0
    if call.missing > call.missing_before or call.out_of_order or late:
        log.warning(
            "call %s: %d packets missing so far (%+d), %d out of order, %d late",
            call.call_id,
            call.missing,
            call.missing - call.missing_before,
            call.out_of_order,
            late,
            extra={"call_id": call.call_id},
        )
