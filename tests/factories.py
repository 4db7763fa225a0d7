"""What tests need of the world, made through the same doors that production uses."""

import base64
import itertools
from datetime import UTC, datetime, timedelta

from calls.api.auth import create_key
from calls.ingest import ending
from calls.ingest.numbering import Arrival
from calls.ingest.store import Receipt, store
from calls.models import Call
from calls.states import EndReason

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
SPEECHLESS = base64.b64encode(b"\xff" * 160).decode()  # 20 ms of µ-law silence
_numbers = itertools.count(1)


def fresh_id() -> str:
    return f"call-{next(_numbers)}"


def arrival(call_id: str, sequence: int, **fields: object) -> Arrival:
    known: dict[str, object] = {
        "data": SPEECHLESS,
        "timestamp": 1_706_745_600.0 + sequence * 0.02,
        "track": "inbound",
    }
    return Arrival(call_id=call_id, sequence=sequence, **(known | fields))  # type: ignore[arg-type]


def send(call_id: str, *sequences: int, now: datetime = NOW, **fields: object) -> list[Receipt]:
    return store([arrival(call_id, number, **fields) for number in sequences], now=now)


def call_in_progress(*, packets: int = 3, now: datetime = NOW) -> Call:
    call_id = fresh_id()
    send(call_id, *range(packets), now=now)
    return Call.objects.get(call_id=call_id)


def ended_call(*, packets: int = 3, now: datetime = NOW) -> Call:
    call = call_in_progress(packets=packets, now=now)
    return hang_up(call, now=now + timedelta(seconds=1))


def hang_up(call: Call, *, now: datetime) -> Call:
    return ending.end(call.call_id, reason=EndReason.HANGUP, words="hangup", now=now, actor="test")


def api_key(*scopes: str, rate: int | None = None) -> str:
    scopes = scopes or ("ingest", "read", "manage")
    _, secret = create_key(name="test", scopes=scopes, rate=rate, now=NOW)
    return secret
