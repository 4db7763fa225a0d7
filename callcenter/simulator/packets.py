"""A call as packets, what a bad network makes of their order, and their pace."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callcenter.simulator.recordings import RATE

SECONDS = 0.2  # of audio a packet
BYTES = round(SECONDS * RATE)
PLACES = (1, 3)  # how far a packet may fall behind


@dataclass(frozen=True, slots=True)
class Packet:
    """`offset`: when its audio begins, in seconds from the start of the call."""

    sequence: int
    track: str
    offset: float
    data: bytes

    @property
    def end(self) -> float:
        """When its audio ends and it can be sent."""
        return self.offset + len(self.data) / RATE

    def to_json(self, began: float) -> dict[str, Any]:
        """As the API takes it; `began` in seconds since the epoch."""
        return {
            "sequence": self.sequence,
            "track": self.track,
            "timestamp": round(began + self.offset, 3),
            "data": base64.b64encode(self.data).decode(),
        }


@dataclass(frozen=True, slots=True)
class Network:
    """Shares of all packets, 0 to 1."""

    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0


@dataclass(frozen=True, slots=True)
class Journey:
    """The packets in the order in which they are sent, and how many never are."""

    packets: tuple[Packet, ...]
    lost: int


def packetise(tracks: Mapping[str, bytes], seconds: float = SECONDS) -> list[Packet]:
    """All tracks side by side, in the order of time, numbered from 0."""
    longest = max((len(sound) for sound in tracks.values()), default=0)
    size = round(seconds * RATE)
    pieces = (
        (track, at, sound[at : at + size])
        for at in range(0, longest, size)
        for track, sound in tracks.items()
        if at < len(sound)
    )
    return [
        Packet(sequence, track, at / RATE, data)
        for sequence, (track, at, data) in enumerate(pieces)
    ]


def travel(packets: list[Packet], network: Network, chance: random.Random) -> Journey:
    """The same `chance` gives the same journey."""
    kept = [packet for packet in packets if chance.random() >= network.loss]
    places: list[tuple[float, Packet]] = []
    for place, packet in enumerate(kept):
        late = chance.random() < network.reorder
        # The half puts it behind the packet that holds the place.
        arrives = place + (chance.randint(*PLACES) + 0.5 if late else 0.0)
        places.append((arrives, packet))
        if chance.random() < network.duplicate:
            places.append((arrives + chance.randint(*PLACES), packet))
    places.sort(key=lambda entry: entry[0])
    return Journey(tuple(packet for _, packet in places), len(packets) - len(kept))


async def in_time(packets: Sequence[Packet], speed: float) -> AsyncIterator[Packet]:
    """One after the other, each when it has been spoken: the network alone decides their order."""
    clock = asyncio.get_running_loop().time
    start, spoken = clock(), 0.0
    for packet in packets:
        spoken = max(spoken, packet.end)
        await asyncio.sleep(start + spoken / speed - clock())
        yield packet
