"""Packets into the table, under the lock of their call; what is returned has been committed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from calls import events
from calls.models import Call
from calls.states import State

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A valid packet as it came; `timestamp` is the sender's, in seconds since the epoch."""

    call_id: str
    sequence: int
    data: str
    timestamp: float
    track: str


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
    """What one batch does to one locked call."""

    call: Call
    missing_before: int
    stored: int = 0
    duplicates: int = 0
    late: int = 0
    out_of_order: int = 0


INSERT_PACKETS = """
INSERT INTO calls_packet (call_id, sequence, track, data, timestamp, late, received_at)
SELECT call_id, sequence, track, data, timestamp, late, %s
FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::float8[], %s::bool[])
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
    last_packet_at = %s,
    updated_at = %s
FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::bool[], %s::int[], %s::int[], %s::int[])
  AS tally (id, stored, last_sequence, has_packet_zero, duplicates, late, out_of_order)
WHERE call.id = tally.id
"""


def store(arrivals: Sequence[Arrival], *, now: datetime) -> list[Receipt]:
    """Stores each packet once, creating calls that are new; one receipt a packet, in order.

    Safe beside any number of others doing the same: unknown calls are created in a commit of
    their own, so that the locks are always taken on existing rows in the order of their keys.
    """
    names = {arrival.call_id for arrival in arrivals}
    while True:
        with transaction.atomic():
            calls = {call.call_id: call for call in Call.objects.filter(call_id__in=names).locked()}
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
    arrivals: Sequence[Arrival], calls: dict[str, Call], *, now: datetime
) -> list[Receipt]:
    tallies = {name: _Tally(call, call.missing) for name, call in calls.items()}
    welcome = [a for a in arrivals if calls[a.call_id].state != State.ARCHIVED]
    new = _insert(welcome, calls, now=now)
    receipts = [_receive(arrival, tallies[arrival.call_id], new, now) for arrival in arrivals]
    _update([tally for tally in tallies.values() if tally.stored or tally.duplicates], now=now)
    for tally in tallies.values():
        _warn(tally)
    return receipts


def _insert(
    arrivals: Sequence[Arrival], calls: dict[str, Call], *, now: datetime
) -> set[tuple[int, int]]:
    """Adds the packets that are not there; the keys of those that were new."""
    owners = [calls[arrival.call_id] for arrival in arrivals]
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_PACKETS,
            [
                now,
                [call.pk for call in owners],
                [arrival.sequence for arrival in arrivals],
                [arrival.track for arrival in arrivals],
                [arrival.data for arrival in arrivals],
                [arrival.timestamp for arrival in arrivals],
                [call.state != State.IN_PROGRESS for call in owners],
            ],
        )
        return set(cursor.fetchall())


def _receive(arrival: Arrival, tally: _Tally, new: set[tuple[int, int]], now: datetime) -> Receipt:
    """Counts one packet into its call and says so; each key is new once."""
    call = tally.call
    if call.state == State.ARCHIVED:
        words = f"call {call.call_id} is archived and takes no more packets"
        return Receipt(call.call_id, arrival.sequence, refused=words)
    key = (call.pk, arrival.sequence)
    duplicate = key not in new
    if duplicate:
        tally.duplicates += 1
    else:
        new.discard(key)
        _count(arrival.sequence, tally)
    late = call.state != State.IN_PROGRESS
    return Receipt(
        call.call_id,
        arrival.sequence,
        duplicate=duplicate,
        late=late,
        next_sequence=(call.last_sequence or 0) + 1,
        missing=call.missing,
        received_at=now,
        message=_message(duplicate=duplicate, late=late),
    )


def _count(sequence: int, tally: _Tally) -> None:
    call = tally.call
    highest = -1 if call.last_sequence is None else call.last_sequence
    tally.stored += 1
    tally.late += call.state != State.IN_PROGRESS
    tally.out_of_order += sequence < highest
    call.packet_count += 1
    call.last_sequence = max(highest, sequence)
    call.has_packet_zero |= sequence == 0


def _message(*, duplicate: bool, late: bool) -> str | None:
    if duplicate:
        return "duplicate: this sequence was stored before"
    return "late: the call had already ended; the packet is stored" if late else None


def _update(tallies: Sequence[_Tally], *, now: datetime) -> None:
    if not tallies:
        return
    calls = [tally.call for tally in tallies]
    with connection.cursor() as cursor:
        cursor.execute(
            UPDATE_CALLS,
            [
                now,
                now,
                [call.pk for call in calls],
                [tally.stored for tally in tallies],
                [call.last_sequence for call in calls],
                [call.has_packet_zero for call in calls],
                [tally.duplicates for tally in tallies],
                [tally.late for tally in tallies],
                [tally.out_of_order for tally in tallies],
            ],
        )
    events.changed((call.pk for call in calls), packets=sum(t.stored for t in tallies))


def _warn(tally: _Tally) -> None:
    """One line a call and batch, so that a bad line does not drown the log."""
    missing = tally.call.missing
    if missing > tally.missing_before or tally.out_of_order or tally.late:
        log.warning(
            "call %s: %d packets missing so far (%+d), %d out of order, %d late",
            tally.call.call_id,
            missing,
            missing - tally.missing_before,
            tally.out_of_order,
            tally.late,
        )
