"""What the dialects over WebSocket have in common."""

import asyncio
from typing import Any

from websockets.exceptions import InvalidStatus, WebSocketException

from callcenter.simulator.line import Line
from callcenter.simulator.packets import packetise
from callcenter.simulator.recordings import Recording

FRAME = 0.02  # seconds
BUFFER = 1024 * 1024  # bytes; a system that stalls gets the rest in one burst
FAILURES = (OSError, TimeoutError, WebSocketException)
SETTLES_WITHIN = 10.0  # seconds from the end of a call
LOOK_EVERY = 0.1  # seconds


def why(error: BaseException) -> str:
    """A connection that was not made, in one line."""
    if not isinstance(error, InvalidStatus):
        return f"{type(error).__name__} {error}".strip()
    body = (error.response.body or b"").decode(errors="replace")
    return f"{error.response.status_code} {' '.join(body.split())[:200]}".strip()


def packets_if_whole(recording: Recording, frames: int) -> int | None:
    """As how many packets so many frames are stored, where they are all of a recording."""
    if frames != len(packetise(recording.tracks, FRAME)):
        return None
    return len(packetise(recording.tracks))


async def settle(line: Line, call_id: str, expected: int | None) -> None:
    """Asks what is stored of a call that was hung up; how many packets must be, where known.

    Raises `Refused`.
    """
    said = await _ended(line, call_id)
    stored = int(said.get("packet_count", 0))
    line.tally.stored += stored
    if said.get("state") == "IN_PROGRESS":
        line.tally.mismatches += 1
        line.tally.complain(f"{call_id}: still in progress after {SETTLES_WITHIN:g} s")
    elif expected not in (None, stored):
        line.tally.mismatches += 1
        line.tally.complain(f"{call_id}: {stored} packets stored, {expected} expected")


async def _ended(line: Line, call_id: str) -> dict[str, Any]:
    clock = asyncio.get_running_loop().time
    deadline = clock() + SETTLES_WITHIN
    while True:
        said = await line.request("GET", f"/v1/call/{call_id}/status")
        if said.get("state") != "IN_PROGRESS" or clock() > deadline:
            return said
        await asyncio.sleep(LOOK_EVERY)
