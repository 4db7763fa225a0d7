"""What becomes of packets that came with a good key: stored, then answered, as JSON in bytes."""

import time

from ninja.errors import HttpError

from calls.api import bulk, rates
from calls.api.schemas.incoming import PacketIn
from calls.api.schemas.outgoing import Accepted, BulkAccepted
from calls.ingest.batching import writer
from calls.ingest.numbering import Arrival
from calls.models import ApiKey


async def take_packet(call_id: str, packet: PacketIn, *, key: ApiKey) -> bytes:
    """Raises `HttpError` (409, 429) and `Busy`."""
    began = time.perf_counter()
    await rates.take(key, packets=1)
    arrival = Arrival(call_id, packet.sequence, packet.data, packet.timestamp, packet.track)
    [receipt] = await writer.store([arrival])
    if receipt.refused:
        raise HttpError(409, receipt.refused)
    answer = Accepted.model_construct(
        status="accepted",
        call_id=call_id,
        sequence=packet.sequence,
        message=receipt.message,
        duplicate=receipt.duplicate,
        next_sequence=receipt.next_sequence,
        missing=receipt.missing,
        received_at=receipt.received_at,
        response_time_ms=round((time.perf_counter() - began) * 1000, 3),
    )
    return Accepted.__pydantic_serializer__.to_json(answer)


async def take_packets(body: bytes, content_type: str, *, key: ApiKey) -> bytes:
    """Each packet alone. Raises ninja's `ValidationError`, `HttpError` (429) and `Busy`."""
    found = bulk.sort_out(body, content_type)
    await rates.take(key, packets=len(found))
    receipts = await writer.store(found.arrivals) if found.arrivals else []
    return BulkAccepted.__pydantic_serializer__.to_json(bulk.answer(found, receipts))
