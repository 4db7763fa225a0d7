"""Asterisk's `chan_websocket`: a socket a track, raw frames, redialled by the dialplan.

It dials with Basic authentication and the sub-protocol `media`, says MEDIA_START, and sends 20 ms
of audio a binary frame, without numbers or times. An established socket never reconnects: the
dialplan's loop dials again at once, as the same call with a new channel.
"""

import asyncio
import base64
import itertools
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Data, Subprotocol

from callcenter.simulator.dialect import facts_of
from callcenter.simulator.line import Line, Refused, Unreachable
from callcenter.simulator.packets import Packet
from callcenter.simulator.recordings import RATE, Recording
from callcenter.simulator.sockets import BUFFER, FAILURES, FRAME, packets_if_whole, settle, why

PATH = "/pbx/asterisk"
SECTION = "callcenter"
VARIABLES = ("agent", "queue", "caller", "callee")
ATTEMPTS = 4
ATTEMPTS_APART = 0.5  # seconds
FIRST_AUDIO = 0.5  # seconds after the call
REDIALS = 100  # that the dialplan's loop makes
DIAL = 10.0  # seconds until an unanswered channel is given up
LONGEST_COMMAND = 128  # bytes
COMMANDS = {
    *("ANSWER", "HANGUP", "GET_STATUS", "FLUSH_MEDIA", "REPORT_QUEUE_DRAINED"),
    *("START_MEDIA_BUFFERING", "STOP_MEDIA_BUFFERING", "PAUSE_MEDIA", "CONTINUE_MEDIA"),
}
NORMAL = 1000
_numbers = itertools.count()


class Asterisk:
    seconds = FRAME
    unfit: Mapping[str, str] = {
        "reorder": "its frames carry no numbers, and its socket keeps their order",
        "duplicate": "its frames carry no numbers: one sent twice is other audio",
    }

    def __init__(self, line: Line, *, speed: float = 1.0, plain: bool = False) -> None:
        self._line, self._speed, self._plain = line, speed, plain

    def leg(self, call_id: str, recording: Recording) -> "_Leg":
        facts = facts_of(recording)
        known = {"call_id": call_id, **{name: facts[name] for name in VARIABLES if name in facts}}
        channels = {
            track: Channel(self._line, {**known, "track": track}, self._plain)
            for track in recording.tracks
        }
        return _Leg(self._line, call_id, recording, channels, FIRST_AUDIO / self._speed)


class _Leg:
    """A call as a channel for each of its parties."""

    def __init__(
        self,
        line: Line,
        call_id: str,
        recording: Recording,
        channels: Mapping[str, "Channel"],
        first_audio: float,
    ) -> None:
        self._line, self._call_id, self._recording = line, call_id, recording
        self._channels, self._first_audio = channels, first_audio
        self._frames = 0

    async def begin(self) -> None:
        dialling = (channel.dial() for channel in self._channels.values())
        for refusal in await asyncio.gather(*dialling, return_exceptions=True):
            if refusal:
                await self._hang_up()
                raise refusal
        await asyncio.sleep(self._first_audio)

    async def send(self, packet: Packet) -> None:
        if all(channel.over for channel in self._channels.values()):
            raise Unreachable(f"{self._call_id}: the system ended the call")
        self._frames += await self._channels[packet.track].send(packet.data)

    async def end(self) -> None:
        await self._hang_up()
        await settle(self._line, self._call_id, self._expected())

    async def _hang_up(self) -> None:
        await asyncio.gather(*(channel.hang_up() for channel in self._channels.values()))

    def _expected(self) -> int | None:
        """Known only where every frame went out, each track over one socket."""
        dialled_once = all(channel.dialled == 1 for channel in self._channels.values())
        return packets_if_whole(self._recording, self._frames) if dialled_once else None


class Channel:
    """One party's channel: dialled, and dialled again for as long as the caller is there."""

    def __init__(self, line: Line, variables: Mapping[str, str], plain: bool) -> None:
        self._tally, self._plain = line.tally, plain
        self._name = f"{variables['call_id']} {variables['track']}"
        self._uri = f"{line.access.socket(PATH)}?{urlencode(variables)}"
        login = base64.b64encode(f"{SECTION}:{line.access.key}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._socket: ClientConnection | None = None
        self._staying: asyncio.Task[None] | None = None
        self.over = False
        self.dialled = 0

    async def dial(self) -> None:
        """The first time. Raises `Refused`."""
        socket = await self._connect()
        self._staying = asyncio.create_task(self._stay(socket))

    async def send(self, frame: bytes) -> bool:
        """Whether a socket took it; what is said while there is none is lost."""
        if self._socket is not None:
            with suppress(ConnectionClosed):
                await self._socket.send(frame)
                self._tally.sent += 1
                return True
        self._tally.unheard += 1
        return False

    async def hang_up(self) -> None:
        self.over = True
        if self._socket is not None:
            await self._socket.close(NORMAL)
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.wait([self._staying])

    async def _stay(self, socket: ClientConnection) -> None:
        """Hears the system out; a connection that dies is dialled again at once."""
        while True:
            await self._hear(socket)
            self._socket = None
            if self.over:
                return
            if socket.close_code == NORMAL:
                self._give_up("the system closed the socket, which ends the call")
                return
            died = f"the connection died ({socket.close_code} {socket.close_reason or ''})"
            if self.dialled >= REDIALS:
                self._give_up(f"{died}, given up after {REDIALS} times")
                return
            self._tally.complain(f"{self._name}: {died}")
            socket = await self._redial()

    async def _redial(self) -> ClientConnection:
        while True:
            self._tally.redialled += 1
            with suppress(Refused):
                return await self._connect()

    async def _connect(self) -> ClientConnection:
        """Four attempts, as Asterisk makes them. Raises `Refused`."""
        refusal = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(ATTEMPTS_APART)
            try:
                socket = await self._upgrade()
                await socket.send(self._media_start())
            except FAILURES as error:
                refusal = why(error)
            else:
                self._socket = socket
                self.dialled += 1
                return socket
        raise Refused(f"{self._name}: not connected in {ATTEMPTS} attempts: {refusal}")

    async def _upgrade(self) -> ClientConnection:
        return await connect(
            self._uri,
            additional_headers=self._headers,
            subprotocols=[Subprotocol("media")],
            compression=None,
            user_agent_header=None,
            proxy=None,
            open_timeout=DIAL,
            ping_interval=None,
            write_limit=BUFFER,
        )

    def _media_start(self) -> str:
        number = next(_numbers)
        said = {
            "connection_id": SECTION,
            "channel": f"WebSocket/{SECTION}/0x{number:012x}",
            "channel_id": f"{int(time.time())}.{number}",
            "format": "ulaw",
            "optimal_frame_size": round(FRAME * RATE),
            "ptime": round(FRAME * 1000),
        }
        if self._plain:
            return " ".join(["MEDIA_START", *(f"{name}:{value}" for name, value in said.items())])
        return json.dumps({"event": "MEDIA_START", **said, "channel_variables": {}})

    async def _hear(self, socket: ClientConnection) -> None:
        answered = asyncio.Event()
        dialling = asyncio.create_task(self._await_answer(answered))
        try:
            async for message in socket:
                await self._obey(message, answered)
        except ConnectionClosed:
            pass
        finally:
            dialling.cancel()

    async def _await_answer(self, answered: asyncio.Event) -> None:
        """Audio flows without ANSWER, but Dial does not wait for it for ever."""
        try:
            async with asyncio.timeout(DIAL):
                await answered.wait()
        except TimeoutError:
            self._give_up(f"no ANSWER within {DIAL:g} s")
            await self._close()

    async def _obey(self, message: Data, answered: asyncio.Event) -> None:
        command = command_of(message)
        if command == "ANSWER":
            answered.set()
        elif command == "HANGUP":
            self._give_up("the system hung up")
            await self._close()
        elif command is None:
            self._tally.refuse_request(f"{self._name}: a command Asterisk does not know")

    def _give_up(self, words: str) -> None:
        self.over = True
        self._tally.mismatches += 1
        self._tally.complain(f"{self._name}: {words}")

    async def _close(self) -> None:
        if self._socket is not None:
            await self._socket.close(NORMAL)


def command_of(message: Data) -> str | None:
    """The command in a message as Asterisk reads it, which is to the letter; "" for audio."""
    if not isinstance(message, str):
        return ""
    if len(message.encode()) > LONGEST_COMMAND:
        return None
    words = message.split()
    with suppress(ValueError, TypeError, KeyError):
        words = [str(json.loads(message)["command"])]
    return words[0] if words and words[0] in COMMANDS else None
