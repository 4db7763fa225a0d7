"""What every way to bring a call to the system must do."""

from collections.abc import Mapping
from typing import Protocol

from callcenter.simulator.packets import Packet
from callcenter.simulator.recordings import Recording

FACTS = ("agent", "queue", "caller", "callee", "direction")


class Leg(Protocol):
    """One call under way."""

    async def begin(self) -> None:
        """Raises `Refused` where the system does not take the call."""

    async def send(self, packet: Packet) -> None:
        """Raises `Unreachable` where nothing more can be sent."""

    async def end(self) -> None:
        """The caller hangs up. Raises `Refused`."""


class Dialect(Protocol):
    seconds: float
    """Of audio a packet."""
    unfit: Mapping[str, str]
    """What a network may do that cannot be shown, and why."""

    def leg(self, call_id: str, recording: Recording) -> Leg: ...


def facts_of(recording: Recording) -> dict[str, str]:
    """What the PBX knows of a call, without what it does not know."""
    facts = {name: str(getattr(recording, name)) for name in FACTS}
    return {name: value for name, value in facts.items() if value}
