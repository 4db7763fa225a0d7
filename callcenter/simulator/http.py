"""The HTTP API: a call is announced, its packets are posted, its end is told."""

import time
from collections.abc import Mapping

from callcenter.simulator.dialect import facts_of
from callcenter.simulator.line import Line, Refused, Unreachable
from callcenter.simulator.packets import SECONDS, Packet
from callcenter.simulator.recordings import RATE, Recording

MEDIA = {"encoding": "audio/x-mulaw", "sample_rate": RATE}


class Http:
    seconds = SECONDS
    unfit: Mapping[str, str] = {}

    def __init__(self, line: Line) -> None:
        self._line = line

    def leg(self, call_id: str, recording: Recording) -> "_Leg":
        return _Leg(self._line, call_id, recording)


class _Leg:
    def __init__(self, line: Line, call_id: str, recording: Recording) -> None:
        self._line, self._tally = line, line.tally
        self._call_id, self._recording = call_id, recording
        self._began = 0.0

    async def begin(self) -> None:
        said = {**facts_of(self._recording), "media": MEDIA}
        await self._line.request("PUT", f"/v1/call/{self._call_id}", said)
        self._began = time.time()

    async def send(self, packet: Packet) -> None:
        """A packet that is refused is counted and shown; the call goes on."""
        self._tally.sent += 1
        path = f"/v1/call/stream/{self._call_id}"
        try:
            said = await self._line.request("POST", path, packet.to_json(self._began))
        except Refused as refusal:
            self._tally.refused += 1
            self._tally.complain(f"packet {packet.sequence}: {refusal}")
            if isinstance(refusal, Unreachable):
                raise
        else:
            self._tally.acknowledge(duplicate=said.get("duplicate") is True)

    async def end(self) -> None:
        await self._line.request("POST", f"/v1/call/{self._call_id}/end", {"reason": "hangup"})
