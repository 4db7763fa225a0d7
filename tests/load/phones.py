"""Simulated Asterisk calls that cost little: `python -m tests.load.phones URL CALLS SECONDS RUN`.

A process of its own with one event loop, so that what it measures is the server. Each call is one
socket that sends a frame every 20 ms, made beforehand; the frames of all calls are the same, and
each carries its number, so that what is stored tells what was lost. A socket that dies is dialled
again at once, as Asterisk's dialplan does.

The key comes in the environment as `PHONES_KEY`. Prints a line when all are connected, and `Heard`
as JSON when all have hung up.
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import quote, urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from callcenter.simulator.asterisk import ATTEMPTS, ATTEMPTS_APART, PATH
from callcenter.simulator.recordings import recordings
from callcenter.simulator.sockets import FRAME
from tests.load.ready import ready

SIZE = 160  # bytes of audio a frame
STAMP = 4  # of them, the frame's number
STEP = 0.002  # seconds between two groups of calls
STEPS = round(FRAME / STEP)
GROUPS = round(0.2 / STEP)
ALL_AT_ONCE = 50  # upgrades under way
STRANGERS_AT_ONCE = 1000
FAREWELL = 10.0  # seconds to hear our close answered
NORMAL = 1000


@dataclass
class Heard:
    """What the phones did and saw; times are of `time.monotonic`, by call and number of frame.

    `sent` has the times of all frames of a group of calls, which are sent in one go, `group` the
    group of each call. `unheard` are the frames that no socket took.
    """

    calls: list[str] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    sent: list[list[float]] = field(default_factory=list)
    unheard: dict[str, list[int]] = field(default_factory=dict)
    dialled: int = 0
    refused: list[str] = field(default_factory=list)
    answered: int = 0
    closes: dict[str, int] = field(default_factory=dict)
    """How often each code ended a socket: `1000` at the end of each call, and nothing else."""
    longest_upgrade: float = 0.0
    most_held_back: int = 0
    """Bytes that a socket did not take at once."""
    late: float = 0.0
    """Seconds by which the latest frame was sent too late, by our own fault."""

    def sent_at(self, call: int, frame: int) -> float:
        return self.sent[self.group[call]][frame]

    def gaps(self) -> list[float]:
        """Seconds between two frames of a call as they were sent."""
        return [b - a for times in self.sent for a, b in itertools.pairwise(times)]


def frames(count: int) -> list[bytes]:
    """Speech, each frame with its number in its first bytes."""
    speech = recordings()[0].tracks["inbound"]
    whole = len(speech) // SIZE * SIZE
    pieces = (speech[at : at + SIZE] for at in itertools.cycle(range(0, whole, SIZE)))
    return [
        number.to_bytes(STAMP, "big") + piece[STAMP:]
        for number, piece in zip(range(count), pieces, strict=False)
    ]


def numbers_in(audio: bytes) -> list[int]:
    """The numbers of the frames in what was stored; raises where it was cut elsewhere."""
    assert len(audio) % SIZE == 0, f"{len(audio)} bytes are no whole frames"
    return [int.from_bytes(audio[at : at + STAMP], "big") for at in range(0, len(audio), SIZE)]


class Phone(asyncio.Protocol):
    """One socket: `opened` once the upgrade is over, `gone` once it is closed."""

    def __init__(self, uri: str) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.is_open = self.answered = False
        self.transport: asyncio.Transport
        self.protocol = ClientProtocol(parse_uri(uri), subprotocols=[Subprotocol("media")])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.protocol.send_request(self.protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self._upgraded()
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.answered |= b"ANSWER" in bytes(event.data)
        self.is_open &= self.protocol.state is State.OPEN
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self.protocol.receive_eof()
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionResetError("the upgrade broke off"))
        if not self.gone.done():
            self.gone.set_result(None)

    @property
    def code(self) -> str:
        return str(self.protocol.close_code or "none")

    def send_text(self, text: str) -> None:
        self.protocol.send_text(text.encode())
        self._flush()

    def close(self) -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(NORMAL)
        self._flush()

    def _upgraded(self) -> None:
        if self.opened.done():
            return
        if error := self.protocol.handshake_exc:
            self.opened.set_exception(error)
        else:
            self.is_open = True
            self.opened.set_result(None)

    def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.transport.write(data)
            elif self.transport.can_write_eof():
                self.transport.write_eof()


class Caller:
    """One call, which goes on over as many sockets as it takes."""

    def __init__(self, url: str, key: str, call_id: str, heard: Heard) -> None:
        query = f"call_id={quote(call_id)}&agent=load"
        self._uri, self._address = address_of(url, key, query)
        self._call_id, self._heard = call_id, heard
        self._redialling: asyncio.Task[None] | None = None
        self.phone: Phone | None = None

    async def dial(self) -> None:
        """Raises OSError or InvalidStatus after four attempts."""
        for attempt in range(ATTEMPTS):
            try:
                await self._connect()
                return
            except (OSError, InvalidStatus) as error:
                if attempt + 1 == ATTEMPTS:
                    raise
                self._heard.refused.append(str(error))
                await asyncio.sleep(ATTEMPTS_APART)

    async def _connect(self) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        _, phone = await loop.create_connection(lambda: Phone(self._uri), *self._address)
        try:
            await phone.opened
        finally:
            took = time.monotonic() - began
            self._heard.longest_upgrade = max(self._heard.longest_upgrade, took)
        self._heard.dialled += 1
        phone.send_text(media_start(self._heard.dialled))
        self.phone = phone

    def send(self, number: int, frame: bytes) -> None:
        phone = self.phone
        if phone is not None and phone.is_open:
            phone.transport.write(frame)
            held = phone.transport.get_write_buffer_size()
            self._heard.most_held_back = max(self._heard.most_held_back, held)
            return
        self._heard.unheard.setdefault(self._call_id, []).append(number)
        if self._redialling is None:
            self._redialling = asyncio.create_task(self._redial())

    async def hang_up(self) -> None:
        if self._redialling is not None:
            self._redialling.cancel()
        if self.phone is not None:
            self.phone.close()
            await asyncio.wait([self.phone.gone], timeout=FAREWELL)
            self._note_end(self.phone)

    async def _redial(self) -> None:
        if self.phone is not None:
            self._note_end(self.phone)
            self.phone.transport.abort()
        while True:
            try:
                await self.dial()
            except (OSError, InvalidStatus) as error:
                self._heard.refused.append(str(error))
            else:
                self._redialling = None
                return

    def _note_end(self, phone: Phone) -> None:
        self._heard.answered += phone.answered
        self._heard.closes[phone.code] = self._heard.closes.get(phone.code, 0) + 1


def media_start(number: int) -> str:
    said = {"event": "MEDIA_START", "connection_id": "load", "channel": f"WebSocket/load/{number}"}
    audio = {"format": "ulaw", "optimal_frame_size": SIZE, "ptime": 20, "channel_variables": {}}
    return json.dumps(said | audio | {"channel_id": f"{int(time.time())}.{number}"})


async def upgrade_all(url: str, key: str, count: int) -> list[tuple[int, float]]:
    """So many sockets at once, each kept until all are answered: status and seconds of each."""
    uri, address = address_of(url, key, "call_id=nobody")
    gate, loop = asyncio.Semaphore(STRANGERS_AT_ONCE), asyncio.get_running_loop()
    open_ones: list[Phone] = []

    async def upgrade() -> tuple[int, float]:
        async with gate:
            began = time.monotonic()
            _, phone = await loop.create_connection(lambda: Phone(uri), *address)
            try:
                await phone.opened
            except InvalidStatus as error:
                return error.response.status_code, time.monotonic() - began
            open_ones.append(phone)
            return 101, time.monotonic() - began

    answers = await asyncio.gather(*(upgrade() for _ in range(count)))
    for phone in open_ones:
        phone.close()
        await asyncio.wait([phone.gone], timeout=FAREWELL)
    return answers


def address_of(url: str, key: str, query: str) -> tuple[str, tuple[str, int]]:
    """The address of Asterisk's door with its login, and where to connect to."""
    parts = urlsplit(url)
    login = f"load:{quote(key, safe='')}"
    uri = f"ws://{login}@{parts.netloc}{PATH}?{query}"
    return uri, (str(parts.hostname), int(parts.port or 80))


async def call_all(url: str, key: str, *, calls: int, seconds: float, run: str) -> Heard:
    heard = Heard(calls=[f"{run}-{number}" for number in range(calls)])
    callers = [Caller(url, key, call_id, heard) for call_id in heard.calls]
    gate = asyncio.Semaphore(ALL_AT_ONCE)

    async def dial(caller: Caller) -> None:
        async with gate:
            await caller.dial()

    await asyncio.gather(*(dial(caller) for caller in callers))
    print("all are connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await _speak(callers, heard, round(seconds / FRAME))
    await asyncio.gather(*(caller.hang_up() for caller in callers))
    return heard


async def _speak(callers: Sequence[Caller], heard: Heard, count: int) -> None:
    """In groups that begin one after the other within the length of a packet, as calls that know
    nothing of each other do.
    """
    wire = [Frame(Opcode.BINARY, frame).serialize(mask=True) for frame in frames(count)]
    groups = [callers[n::GROUPS] for n in range(GROUPS)]
    heard.group = [n % GROUPS for n in range(len(callers))]
    times = [array("d") for _ in groups]
    begin = time.monotonic()
    for step in range(count * STEPS + GROUPS):
        due = begin + step * STEP
        # Also when we are behind: what the server says must be read.
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        for group in range(step % STEPS, min(step + 1, GROUPS), STEPS):
            number = (step - group) // STEPS
            if number < count and groups[group]:
                now = time.monotonic()
                heard.late = max(heard.late, now - due)
                times[group].append(now)
                for caller in groups[group]:
                    caller.send(number, wire[number])
    heard.sent = [list(one) for one in times]


class Phones:
    """The process as its parent sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def begin(self) -> None:
        """All are connected; now they speak."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def heard(self, within: float) -> Heard:
        """What came of it, when all have hung up."""
        output, _ = self._process.communicate(timeout=within)
        assert self._process.returncode == 0, "the phones failed"
        return Heard(**json.loads(output))


@contextmanager
def phones(url: str, key: str, *, calls: int, seconds: float, run: str) -> Iterator[Phones]:
    """Connected phones, which speak when told to."""
    words = [sys.executable, "-m", "tests.load.phones", url, str(calls), str(seconds), run]
    with ready(words, PHONES_KEY=key) as process:
        yield Phones(process)


def main() -> None:
    url, calls, seconds, run = sys.argv[1:]
    load = call_all(
        url, os.environ["PHONES_KEY"], calls=int(calls), seconds=float(seconds), run=run
    )
    print(json.dumps(asdict(asyncio.run(load))))


if __name__ == "__main__":
    main()
