"""Twilio's Media Streams: one socket a call, JSON in text frames, every number a string.

The upgrade is signed where an auth token is known; else the API key travels in the custom
parameters. A socket that dies stays dead.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from callcenter.simulator.dialect import facts_of
from callcenter.simulator.line import Line, Refused, Unreachable
from callcenter.simulator.packets import Packet
from callcenter.simulator.recordings import RATE, Recording
from callcenter.simulator.sockets import BUFFER, FAILURES, FRAME, packets_if_whole, settle, why

PATH = "/pbx/twilio"
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
MEDIA_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}


class Twilio:
    seconds = FRAME
    unfit: Mapping[str, str] = {}

    def __init__(self, line: Line, *, token: str = "") -> None:
        self._line, self._token = line, token

    def leg(self, call_id: str, recording: Recording) -> "_Leg":
        return _Leg(self._line, call_id, recording, self._token)


class _Leg:
    def __init__(self, line: Line, call_id: str, recording: Recording, token: str) -> None:
        self._line, self._tally = line, line.tally
        self._call_id, self._recording, self._token = call_id, recording, token
        self._account, self._call, self._stream = (
            f"{kind}{uuid.uuid4().hex}" for kind in ("AC", "CA", "MZ")
        )
        self._socket: ClientConnection | None = None
        self._frames = 0
        self._number = 1

    async def begin(self) -> None:
        uri = self._line.access.socket(PATH)
        signature = {"X-Twilio-Signature": sign(uri, self._token)} if self._token else {}
        try:
            self._socket = await connect(
                uri,
                additional_headers=signature,
                compression=None,
                user_agent_header=None,
                proxy=None,
                write_limit=BUFFER,
            )
            await self._socket.send(json.dumps(CONNECTED))
            await self._say("start", number=1, start=self._start())
        except FAILURES as error:
            raise Refused(f"{self._call_id}: not connected: {why(error)}") from None

    async def send(self, packet: Packet) -> None:
        media = {
            "track": packet.track,
            "chunk": str(round(packet.offset / FRAME) + 1),
            "timestamp": str(round(packet.offset * 1000)),
            "payload": base64.b64encode(packet.data).decode(),
        }
        self._number = packet.sequence + 2
        try:
            await self._say("media", number=self._number, media=media)
        except ConnectionClosed:
            self._tally.unheard += 1
            raise Unreachable(f"{self._call_id}: the socket died") from None
        self._frames += 1
        self._tally.sent += 1

    async def end(self) -> None:
        try:
            await self._say("stop", number=self._number + 1, stop=self._ids())
        except ConnectionClosed as error:
            self._tally.mismatches += 1
            self._tally.complain(f"{self._call_id}: the socket died: {error}")
            return
        finally:
            await self._socket_in_use.close()
        await settle(self._line, self._call_id, packets_if_whole(self._recording, self._frames))

    async def _say(self, event: str, *, number: int, **said: object) -> None:
        message = {"event": event, "sequenceNumber": str(number), "streamSid": self._stream}
        await self._socket_in_use.send(json.dumps(message | said))

    @property
    def _socket_in_use(self) -> ClientConnection:
        assert self._socket is not None
        return self._socket

    def _ids(self) -> dict[str, str]:
        return {"accountSid": self._account, "callSid": self._call}

    def _start(self) -> dict[str, object]:
        key = {} if self._token else {"api_key": self._line.access.key}
        return {
            **self._ids(),
            "streamSid": self._stream,
            "tracks": list(self._recording.tracks),
            "mediaFormat": MEDIA_FORMAT,
            "customParameters": {"call_id": self._call_id, **facts_of(self._recording), **key},
        }


def sign(url: str, token: str) -> str:
    """As Twilio signs the upgrade."""
    return base64.b64encode(hmac.digest(token.encode(), url.encode(), hashlib.sha1)).decode()
