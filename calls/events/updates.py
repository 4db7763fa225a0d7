"""The whole state of calls as the sockets tell it: the `call_update` of the contract."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from calls.models.call import count_missing
from calls.statements import execute

READ = """
SELECT call.id, call.call_id, call.agent, call.queue, call.state, call.version,
    call.packet_count, call.last_sequence, call.has_packet_zero, call.late,
    call.ai_outcome, call.attempts, call.next_attempt_at, call.last_error,
    call.has_ai_result, result.transcript, result.sentiment
FROM calls_call AS call LEFT JOIN calls_result AS result ON result.call_id = call.id
WHERE call.id = ANY(%b::bigint[])
"""


class Known(NamedTuple):
    """A row of `READ`."""

    pk: int
    call_id: str
    agent: str
    queue: str
    state: str
    version: int
    packet_count: int
    last_sequence: int | None
    has_packet_zero: bool
    late: int
    ai_outcome: str
    attempts: int
    next_attempt_at: datetime | None
    last_error: str
    has_ai_result: bool
    transcript: str | None
    sentiment: str | None


def read_calls(calls: Sequence[int]) -> list[Known]:
    """Calls by primary key, in that order, as they are now; without those that are gone."""
    rows = {row[0]: row for row in execute(READ, [list(calls)])}
    return [Known(*rows[pk]) for pk in calls if pk in rows]


def describe(call: Known, *, previous: int | None, now: datetime) -> dict[str, Any]:
    """What is told of a call; `previous` is the version that was told before."""
    result = {"transcript": call.transcript, "sentiment": call.sentiment}
    return {
        "type": "call_update",
        "call_id": call.call_id,
        "state": call.state,
        "timestamp": _iso(now),
        "version": call.version,
        "previous": previous,
        "packet_count": call.packet_count,
        "last_sequence": call.last_sequence,
        "missing": count_missing(call.packet_count, call.last_sequence, call.has_packet_zero),
        "late": call.late,
        "ai": {
            "outcome": call.ai_outcome,
            "attempts": call.attempts,
            "next_attempt_at": _iso(call.next_attempt_at),
            "last_error": call.last_error or None,
        },
        "ai_result": result if call.has_ai_result else None,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
