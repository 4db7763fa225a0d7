"""Many first packets of one new call at the same instant: none may be lost, none may fail."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

import httpx

from callcenter.simulator.line import Access, Line, Refused, words
from callcenter.simulator.packets import Packet
from callcenter.simulator.tally import Tally

SHOWN = ("state", "packet_count", "last_sequence", "missing", "duplicates")

Answers = dict[int, httpx.Response | None]


async def race(access: Access, call_id: str, packets: Sequence[Packet], tally: Tally) -> None:
    """Send all of them as the first packet; show the answers beside what was stored."""
    tally.calls += 1
    answers = await _answers(access, call_id, packets)
    for sequence, answer in answers.items():
        _count(sequence, answer, tally)
    statuses = Counter(answer.status_code if answer else "none" for answer in answers.values())
    taken = [sequence for sequence, answer in answers.items() if answer and answer.is_success]
    tally.say(f"{call_id}: {len(packets)} first packets at once")
    tally.say("  answers  " + ", ".join(f"{n} x {status}" for status, n in statuses.items()))
    tally.say(f"  taken    sequences {_ranges(taken)}")
    async with Line(access, tally) as line:
        await _show_stored(line, call_id, len(taken))


async def _answers(access: Access, call_id: str, packets: Sequence[Packet]) -> Answers:
    """By sequence; None where the connection broke."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(access.client()) for _ in packets]
        # A request that does no harm opens the connection, which then stays open.
        await asyncio.gather(*(client.get("/health") for client in clients))
        gate, began = asyncio.Event(), time.time()

        async def send(client: httpx.AsyncClient, packet: Packet) -> httpx.Response | None:
            await gate.wait()
            try:
                return await client.post(f"/v1/call/stream/{call_id}", json=packet.to_json(began))
            except httpx.TransportError:
                return None

        pairs = zip(clients, packets, strict=True)
        sending = [asyncio.create_task(send(client, packet)) for client, packet in pairs]
        gate.set()
        answers = await asyncio.gather(*sending)
    return {packet.sequence: answer for packet, answer in zip(packets, answers, strict=True)}


def _count(sequence: int, answer: httpx.Response | None, tally: Tally) -> None:
    tally.sent += 1
    if answer is not None and answer.is_success:
        tally.acknowledge(duplicate=answer.json().get("duplicate") is True)
    else:
        tally.refused += 1
        tally.complain(f"packet {sequence}: {words(answer) if answer else 'no answer'}")


async def _show_stored(line: Line, call_id: str, taken: int) -> None:
    try:
        stored = await line.request("GET", f"/v1/call/{call_id}/status")
        await line.request("POST", f"/v1/call/{call_id}/end", {"reason": "hangup"})
    except Refused as refusal:
        line.tally.refuse_request(str(refusal))
        return
    line.tally.say("  stored   " + ", ".join(f"{name} {stored.get(name)}" for name in SHOWN))
    if stored.get("packet_count") != taken:
        line.tally.mismatches += 1


def _ranges(numbers: Sequence[int]) -> str:
    """`0-3, 5` for 0, 1, 2, 3, 5."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in parts) or "none"
