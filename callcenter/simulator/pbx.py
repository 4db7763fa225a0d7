"""Calls as a PBX makes them: announced, streamed in real time, ended."""

import asyncio
import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from callcenter.simulator.line import Line, Refused, Unreachable
from callcenter.simulator.packets import SECONDS, Network, Packet, packetise, travel
from callcenter.simulator.recordings import RATE, Recording, read_tracks
from callcenter.simulator.tally import Say
from callcenter.sound.wav import NotAWav

MEDIA = {"encoding": "audio/x-mulaw", "sample_rate": RATE}
FACTS = ("agent", "queue", "caller", "callee", "direction")
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
    def __init__(self, line: Line, manner: Manner, ids: CallIds, say: Say) -> None:
        self._line, self._manner, self._ids, self._say = line, manner, ids, say
        self._tally = line.tally
        self._numbers = count()

    async def play_all(self, recordings: Sequence[Recording], calls: int) -> None:
        """So many calls side by side, the recordings in turn."""
        async with asyncio.TaskGroup() as group:
            for recording in islice(cycle(recordings), calls):
                group.create_task(self.play(recording))

    async def play(self, recording: Recording) -> None:
        """One call from its announcement to its end; cancelled, it still hangs up."""
        chance = self._manner.chance(next(self._numbers))
        call_id = self._ids.next(recording.name)
        self._tally.calls += 1
        if not await self._announce(call_id, recording):
            return
        self._say(f"{call_id} began: {_about(recording)}")
        journey = travel(packetise(recording.tracks), self._manner.network, chance)
        self._tally.lost += journey.lost
        try:
            await self._stream(call_id, journey.packets)
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with asyncio.timeout(HANG_UP_WITHIN):
                    await self._hang_up(call_id)
            raise
        await self._hang_up(call_id)
        self._say(f"{call_id} ended: {len(journey.packets)} packets, {journey.lost} lost")

    async def _announce(self, call_id: str, recording: Recording) -> bool:
        facts: dict[str, Any] = {name: getattr(recording, name) for name in FACTS}
        facts = {name: value for name, value in facts.items() if value}
        return await self._tell("PUT", f"/v1/call/{call_id}", {**facts, "media": MEDIA})

    async def _stream(self, call_id: str, packets: Sequence[Packet]) -> None:
        """One after the other, so that the network alone decides about their order."""
        began, clock = time.time(), asyncio.get_running_loop().time
        start, spoken = clock(), 0.0
        for packet in packets:
            spoken = max(spoken, packet.offset + SECONDS)
            await asyncio.sleep(start + spoken / self._manner.speed - clock())
            try:
                await self._send(call_id, packet, began)
            except Unreachable:
                return

    async def _send(self, call_id: str, packet: Packet, began: float) -> None:
        self._tally.sent += 1
        path = f"/v1/call/stream/{call_id}"
        try:
            said = await self._line.request("POST", path, packet.to_json(began))
        except Refused as refusal:
            self._tally.refused += 1
            self._tally.complain(f"packet {packet.sequence}: {refusal}")
            if isinstance(refusal, Unreachable):
                raise
        else:
            self._tally.acknowledge(duplicate=said.get("duplicate") is True)

    async def _hang_up(self, call_id: str) -> None:
        await self._tell("POST", f"/v1/call/{call_id}/end", {"reason": "hangup"})

    async def _tell(self, method: str, path: str, body: object) -> bool:
        try:
            await self._line.request(method, path, body)
        except Refused as refusal:
            self._tally.refused_requests += 1
            self._tally.complain(str(refusal))
            return False
        return True


def _about(recording: Recording) -> str:
    facts = (recording.queue, recording.agent, f"{recording.seconds:.0f} s")
    return ", ".join(fact for fact in facts if fact)
