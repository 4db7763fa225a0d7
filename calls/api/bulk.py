"""Many packets in one request: each is taken or rejected alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ninja.errors import ValidationError
from pydantic import Field, TypeAdapter
from pydantic import ValidationError as Invalid
from pydantic_core import from_json

from calls.api.errors import fields
from calls.api.schemas.incoming import BulkPacketIn, Strict
from calls.api.schemas.outgoing import BulkAccepted, Rejected
from calls.ingest.numbering import Arrival
from calls.ingest.store import Receipt

MAX_PACKETS = 1000
NDJSON = "application/x-ndjson"
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["packets"],
                    "additionalProperties": False,
                    "properties": {
                        "packets": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_PACKETS,
                            "items": {
                                "description": "A packet; anything else is rejected alone.",
                                "anyOf": [BulkPacketIn.model_json_schema(), {}],
                            },
                        }
                    },
                }
            },
            NDJSON: {
                "schema": {
                    "type": "string",
                    "pattern": "[!-~]",
                    "description": "One packet a line; an invalid one is rejected alone.",
                }
            },
        },
    }
}


class _Envelope(Strict):
    packets: Annotated[list[BulkPacketIn], Field(min_length=1, max_length=MAX_PACKETS)]


_envelope = TypeAdapter(_Envelope)
_packet = TypeAdapter(BulkPacketIn)


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is not JSON."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """The valid packets with their places in the request, and the others with the reason."""

    places: Sequence[int]
    arrivals: list[Arrival]
    rejected: list[Rejected]

    def __len__(self) -> int:
        return len(self.arrivals) + len(self.rejected)


def sort_out(body: bytes, content_type: str) -> Sorted:
    """Reads a request. Raises ninja's `ValidationError` for a broken envelope."""
    try:
        packets = _envelope.validate_json(body).packets
    except Invalid:
        return _one_by_one(_sent(body, content_type))
    return Sorted(range(len(packets)), [_arrival(packet) for packet in packets], [])


def answer(found: Sorted, receipts: Sequence[Receipt]) -> BulkAccepted:
    refused = [
        Rejected(index=place, call_id=r.call_id, sequence=r.sequence, detail=r.refused)
        for place, r in zip(found.places, receipts, strict=True)
        if r.refused
    ]
    duplicates = sum(receipt.duplicate for receipt in receipts)
    return BulkAccepted(
        accepted=len(receipts) - len(refused) - duplicates,
        duplicates=duplicates,
        rejected=sorted([*found.rejected, *refused], key=lambda r: r.index),
    )


def _arrival(packet: BulkPacketIn) -> Arrival:
    return Arrival(packet.call_id, packet.sequence, packet.data, packet.timestamp, packet.track)


def _one_by_one(packets: Sequence[Any]) -> Sorted:
    places, arrivals, rejected = [], [], []
    for index, raw in enumerate(packets):
        try:
            packet = _packet.validate_python(raw)
        except Invalid as error:
            rejected.append(_rejected(index, raw, _why(raw, error)))
        else:
            places.append(index)
            arrivals.append(_arrival(packet))
    return Sorted(places, arrivals, rejected)


def _sent(body: bytes, content_type: str) -> list[Any]:
    """The packets of a request as they came, valid or not."""
    if content_type.partition(";")[0].strip().lower() == NDJSON:
        packets = [_line(line) for line in body.splitlines() if line.strip()]
    else:
        packets = _listed(_line(body))
    if not 1 <= len(packets) <= MAX_PACKETS:
        raise _broken("packets", f"expected 1 to {MAX_PACKETS} packets, got {len(packets)}")
    return packets


def _line(line: bytes) -> Any:
    try:
        return from_json(line)
    except ValueError:
        return Broken()


def _listed(body: Any) -> list[Any]:
    if isinstance(body, Broken):
        raise _broken("", "not valid JSON")
    if not isinstance(body, dict) or not isinstance(body.get("packets"), list):
        raise _broken("packets", "expected an object with a list of packets")
    if unknown := body.keys() - {"packets"}:
        raise _broken(sorted(unknown)[0][:50], "unknown field")
    return list(body["packets"])


def _broken(field: str, message: str) -> ValidationError:
    return ValidationError([{"loc": ("body", "", field), "msg": message, "type": "envelope"}])


def _rejected(index: int, raw: Any, detail: str) -> Rejected:
    said = raw if isinstance(raw, dict) else {}
    call_id, sequence = said.get("call_id"), said.get("sequence")
    return Rejected(
        index=index,
        call_id=call_id[:128] if isinstance(call_id, str) and call_id.isprintable() else None,
        sequence=sequence if type(sequence) is int and abs(sequence) < 2**63 else None,
        detail=detail,
    )


def _why(raw: Any, error: Invalid) -> str:
    if isinstance(raw, Broken):
        return "not valid JSON"
    found = fields([{**e, "loc": ("packet", *e["loc"])} for e in error.errors(include_url=False)])
    return "; ".join(f"{f['field']}: {f['message']}" for f in found[:5])
