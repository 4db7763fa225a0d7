"""Calls as a PBX makes them: begun, carried in real time, ended, in any dialect."""

import asyncio
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, cycle, islice
from pathlib import Path

from callcenter.simulator.dialect import Dialect, Leg
from callcenter.simulator.line import Refused, Unreachable
from callcenter.simulator.packets import Network, Packet, in_time, packetise, travel
from callcenter.simulator.recordings import Recording, read_tracks
from callcenter.simulator.tally import Tally
from callcenter.sound.wav import NotAWav

HANG_UP_WITHIN = 3.0  # seconds, when we are asked to stop


@dataclass(frozen=True, slots=True)
class Manner:
    """How calls are played: `speed` 2 is twice as fast as people speak."""

    speed: float = 1.0
    network: Network = field(default_factory=Network)
    seed: int | None = None

    def chance(self, number: int) -> random.Random:
        """Of its own for each call, so that calls side by side do not disturb each other."""
        return random.Random() if self.seed is None else random.Random(f"{self.seed}:{number}")


class CallIds:
    """Ids such as `demo-20260131235959-refund`; a second one of the name gets a number."""

    def __init__(self, kind: str, now: datetime) -> None:
        self._prefix = f"{kind}-{now:%Y%m%d%H%M%S}"
        self._used: dict[str, Iterator[int]] = {}

    def next(self, name: str) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:64]
        number = next(self._used.setdefault(name, count(1)))
        return f"{self._prefix}-{name}" + (f"-{number}" if number > 1 else "")


def from_file(path: Path) -> Recording:
    """Any WAV file as a call. Raises `NotAWav`, `OSError`."""
    try:
        return Recording(name=path.stem, tracks=read_tracks(path), direction="inbound")
    except NotAWav as error:
        raise NotAWav(f"{path}: {error}") from None


class Pbx:
    def __init__(self, dialect: Dialect, manner: Manner, ids: CallIds, tally: Tally) -> None:
        self._dialect, self._manner, self._ids = dialect, manner, ids
        self._tally, self._say = tally, tally.say
        self._numbers = count()

    async def play_all(self, recordings: Sequence[Recording], calls: int) -> None:
        """So many calls side by side, the recordings in turn."""
        async with asyncio.TaskGroup() as group:
            for recording in islice(cycle(recordings), calls):
                group.create_task(self.play(recording))

    async def play(self, recording: Recording) -> None:
        """One call from its beginning to its end; cancelled, it still hangs up."""
        chance = self._manner.chance(next(self._numbers))
        call_id = self._ids.next(recording.name)
        leg = self._dialect.leg(call_id, recording)
        self._tally.calls += 1
        try:
            await leg.begin()
        except Refused as refusal:
            self._tally.refuse_request(str(refusal))
            return
        self._say(f"{call_id} began: {_about(recording)}")
        packets = packetise(recording.tracks, self._dialect.seconds)
        journey = travel(packets, self._manner.network, chance)
        self._tally.lost += journey.lost
        try:
            await self._stream(leg, journey.packets)
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with asyncio.timeout(HANG_UP_WITHIN):
                    await self._end(leg)
            raise
        await self._end(leg)
        self._say(f"{call_id} ended: {len(journey.packets)} packets, {journey.lost} lost")

    async def _stream(self, leg: Leg, packets: Sequence[Packet]) -> None:
        async for packet in in_time(packets, self._manner.speed):
            try:
                await leg.send(packet)
            except Unreachable:
                return

    async def _end(self, leg: Leg) -> None:
        try:
            await leg.end()
        except Refused as refusal:
            self._tally.refuse_request(str(refusal))


def _about(recording: Recording) -> str:
    facts = (recording.queue, recording.agent, f"{recording.seconds:.0f} s")
    return ", ".join(fact for fact in facts if fact)
