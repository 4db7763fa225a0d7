"""The demo: a call centre that is busy at once and then never quiet for long."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from callcenter.simulator.line import Line
from callcenter.simulator.packets import Network
from callcenter.simulator.pbx import Pbx
from callcenter.simulator.recordings import Recording
from callcenter.simulator.tally import Say

NETWORK = Network(loss=0.004, reorder=0.006, duplicate=0.006)
LOOK_EVERY = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from one beginning to the next: of the first calls, and of those after them."""

    first: float = 4.0
    later: float = 120.0


DEFAULT = Pace()


async def demo(
    line: Line, pbx: Pbx, recordings: Sequence[Recording], say: Say, pace: Pace = DEFAULT
) -> None:
    """Each call once, overlapping; then one after the other until cancelled."""
    await _until_healthy(line, say)
    async with asyncio.TaskGroup() as group:
        for number, recording in enumerate(cycle(recordings)):
            group.create_task(pbx.play(recording))
            is_first = number + 1 < len(recordings)
            await asyncio.sleep(pace.first if is_first else pace.later)


async def _until_healthy(line: Line, say: Say) -> None:
    told = False
    while not await line.healthy():
        if not told:
            say("waiting for the system to be healthy")
        told = True
        await asyncio.sleep(LOOK_EVERY)
