"""The simulated Asterisk and Twilio, against a small real server that records what it gets."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from callcenter.simulator.asterisk import command_of
from callcenter.simulator.recordings import RATE, recordings
from callcenter.simulator.twilio import sign
from callcenter.sound.wav import ulaw_file
from tests.callcenter.serving import bare_server, served

FAST = 20.0
TRACKS = [bytes([n % 125 for n in range(RATE)]), bytes([128 + n % 125 for n in range(RATE)])]
"""One second of each party: five packets each, as fifty frames."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


@dataclass
class Socket:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    protocols: list[str]
    said: list[str | bytes] = field(default_factory=list)
    closed: int | None = None

    def audio(self) -> bytes:
        return b"".join(one for one in self.said if isinstance(one, bytes))

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.said if isinstance(one, str)]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.messages() if one["event"] == name]


@dataclass
class System:
    """Takes sockets, answers them, and says of every call that it has `stored` packets.

    `after` frames it closes the first `closing` sockets with `code`; the first `refused` upgrades
    get 403.
    """

    sockets: list[Socket] = field(default_factory=list)
    command: str = "ANSWER"
    after: int | None = None
    closing: int = 2
    code: int = 1011
    refused: int = 0
    asked: int = 0
    stored: int = 10
    url: str = ""

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._status(send)

    async def _status(self, send: Send) -> None:
        body = json.dumps({"state": "COMPLETED", "packet_count": self.stored}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def _socket(self, scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        self.asked += 1
        if self.asked <= self.refused:
            await send({"type": "websocket.close"})
            return
        query = {
            name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()
        }
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        socket = Socket(scope["path"], query, headers, scope["subprotocols"])
        breaks = len(self.sockets) < self.closing and self.after is not None
        self.sockets.append(socket)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": self.command})
        while (event := await receive())["type"] == "websocket.receive":
            said = event.get("text")
            socket.said.append(said if said is not None else event["bytes"])
            if breaks and len(socket.said) > (self.after or 0):
                await send({"type": "websocket.close", "code": self.code})
                return
        socket.closed = event["code"]

    def of_track(self, track: str) -> list[Socket]:
        return [socket for socket in self.sockets if socket.query["track"] == track]


@pytest.fixture
def system() -> Iterator[System]:
    found = System()
    with served(bare_server(found)) as found.url:
        yield found


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.wav"
    path.write_bytes(ulaw_file(TRACKS, RATE))
    return path


def play(system: System, dialect: str, *words: object, speed: float = FAST) -> tuple[int, str]:
    output = StringIO()
    given = ("--dialect", dialect, "--url", system.url, "--api-key", "key", "--speed", speed)
    try:
        call_command("play_calls", *map(str, (*given, *words)), stdout=output)
    except SystemExit as end:
        return int(end.code or 0), output.getvalue()
    return 0, output.getvalue()


def counted(output: str) -> dict[str, int]:
    rows = re.findall(r"^ *([a-z ]+?) {2,}([\d,]+)$", output, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in rows}


# Asterisk ------------------------------------------------------------------------------------


def test_asterisk_dials_a_socket_a_party_and_tells_them_apart(system: System, short: Path) -> None:
    code, _ = play(system, "asterisk", short)
    assert code == 0
    assert [socket.path for socket in system.sockets] == ["/pbx/asterisk"] * 2
    assert {socket.query["track"] for socket in system.sockets} == {"inbound", "outbound"}
    assert len({socket.query["call_id"] for socket in system.sockets}) == 1


def test_asterisk_says_in_the_address_what_its_dialplan_knows(system: System) -> None:
    play(system, "asterisk", "--calls", 1, speed=100)
    (first, *_) = recordings()
    for socket in system.sockets:
        names = ("agent", "queue", "caller", "callee")
        known = {name: value for name in names if (value := getattr(first, name))}
        assert {name: socket.query[name] for name in known} == known
        assert socket.query.keys() == {"call_id", "track", *known}


def test_asterisk_upgrades_with_basic_and_media_and_nothing_else(
    system: System, short: Path
) -> None:
    play(system, "asterisk", short)
    for socket in system.sockets:
        scheme, login = socket.headers["authorization"].split()
        assert scheme == "Basic"
        assert base64.b64decode(login) == b"callcenter:key"
        assert socket.protocols == ["media"]
        absent = {"origin", "user-agent", "sec-websocket-extensions"}
        assert not absent & socket.headers.keys()


def test_asterisk_says_what_it_sends_then_sends_raw_frames_of_20_ms(
    system: System, short: Path
) -> None:
    play(system, "asterisk", short)
    for track, sound in zip(("inbound", "outbound"), TRACKS, strict=True):
        (socket,) = system.of_track(track)
        start, *frames = socket.said
        said = json.loads(start)
        assert (said["event"], said["format"]) == ("MEDIA_START", "ulaw")
        assert (said["optimal_frame_size"], said["ptime"]) == (160, 20)
        assert said["connection_id"] == "callcenter"
        assert {len(frame) for frame in frames} == {160}
        assert socket.audio() == sound


def test_asterisk_speaks_plainly_when_asked(system: System, short: Path) -> None:
    play(system, "asterisk", "--plain", short)
    pattern = (
        r"MEDIA_START connection_id:callcenter channel:WebSocket/callcenter/0x[0-9a-f]+ "
        r"channel_id:\d+\.\d+ format:ulaw optimal_frame_size:160 ptime:20"
    )
    assert all(re.fullmatch(pattern, str(socket.said[0])) for socket in system.sockets)


def test_asterisk_hangs_up_with_a_normal_close(system: System, short: Path) -> None:
    _, output = play(system, "asterisk", short)
    assert [socket.closed for socket in system.sockets] == [1000, 1000]
    assert counted(output) == {
        "calls": 1,
        "frames sent": 100,
        "arrived as packets": 10,
        "lost on purpose": 0,
        "spoken while redialling": 0,
        "redialled": 0,
        "calls not stored whole": 0,
        "other requests refused": 0,
    }


def test_asterisk_keeps_the_pace_of_speech(system: System, short: Path) -> None:
    began = asyncio.new_event_loop().time()
    play(system, "asterisk", short, speed=2)
    # Half a second before the first audio, one second of it, both at twice the speed.
    assert asyncio.new_event_loop().time() - began >= 0.75


def test_a_connection_that_dies_is_redialled_as_the_same_call(system: System, short: Path) -> None:
    system.after = 20
    code, output = play(system, "asterisk", short, speed=2)
    assert counted(output)["redialled"] == 2
    first, second = system.of_track("inbound")
    assert first.query == second.query
    ids = [socket.events("MEDIA_START")[0]["channel_id"] for socket in system.sockets]
    assert len(set(ids)) == 4
    assert TRACKS[0].endswith(second.audio())
    assert second.audio()
    assert code == 0


def test_a_system_that_closes_every_socket_is_given_up(
    system: System, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.simulator.asterisk.REDIALS", 5)
    system.after, system.closing, system.code = 0, 1000, 4409
    code, output = play(system, "asterisk", short, speed=2)
    assert code == 1
    assert "died (4409" in output
    assert "given up after 5 times" in output
    assert len(system.sockets) == 10


def test_a_call_that_the_system_closes_normally_is_over(system: System, short: Path) -> None:
    system.after, system.code = 20, 1000
    code, output = play(system, "asterisk", short, speed=2)
    assert code == 1
    assert "ends the call" in output
    assert len(system.sockets) == 2


def test_a_refused_connect_is_tried_four_times(system: System, short: Path) -> None:
    system.refused = 100
    code, output = play(system, "asterisk", short)
    assert code == 1
    assert system.asked == 8
    assert "4 attempts: 403" in output


def test_a_connect_that_succeeds_at_last_carries_the_call(system: System, short: Path) -> None:
    system.refused = 3
    code, _ = play(system, "asterisk", short)
    assert code == 0
    assert {socket.audio() for socket in system.sockets} == set(TRACKS)


def test_a_channel_that_is_not_answered_is_given_up(
    system: System, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.simulator.asterisk.DIAL", 0.3)
    system.command = "answer"
    code, output = play(system, "asterisk", short, speed=2)
    assert code == 1
    assert "a command Asterisk does not know" in output
    assert "no ANSWER" in output


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("ANSWER", "ANSWER"),
        ('{"command": "HANGUP"}', "HANGUP"),
        ("answer", None),
        ('{"command": "answer"}', None),
        ('{"event": "ANSWER"}', None),
        ("[]", None),
        ("ANSWER" + " " * 123, None),
        (b"\xff" * 160, ""),
    ],
)
def test_commands_are_read_to_the_letter(message: str | bytes, command: str | None) -> None:
    assert command_of(message) == command


# Twilio --------------------------------------------------------------------------------------


def test_twilio_sends_one_stream_with_both_tracks(system: System, short: Path) -> None:
    code, _ = play(system, "twilio", short)
    (socket,) = system.sockets
    assert code == 0
    assert socket.path == "/pbx/twilio"
    assert [one["event"] for one in socket.messages()] == [
        *("connected", "start"),
        *["media"] * 100,
        "stop",
    ]
    for track, sound in zip(("inbound", "outbound"), TRACKS, strict=True):
        media = [one["media"] for one in socket.events("media") if one["media"]["track"] == track]
        assert b"".join(base64.b64decode(one["payload"]) for one in media) == sound
        assert [one["chunk"] for one in media] == [str(n) for n in range(1, 51)]
        assert [one["timestamp"] for one in media] == [str(n * 20) for n in range(50)]


def test_every_number_of_a_message_is_a_string_and_counts_from_1(
    system: System, short: Path
) -> None:
    play(system, "twilio", short)
    (socket,) = system.sockets
    numbers = [one["sequenceNumber"] for one in socket.messages()[1:]]
    assert numbers == [str(n) for n in range(1, 103)]


def test_the_start_says_whose_call_it_is(system: System, short: Path) -> None:
    play(system, "twilio", short)
    ((start,), (stop,)) = (system.sockets[0].events(name) for name in ("start", "stop"))
    about = start["start"]
    assert about["tracks"] == ["inbound", "outbound"]
    assert about["mediaFormat"]["encoding"] == "audio/x-mulaw"
    assert about["customParameters"]["api_key"] == "key"
    assert about["customParameters"]["direction"] == "inbound"
    assert about["callSid"] == stop["stop"]["callSid"]
    assert about["streamSid"] == start["streamSid"] == stop["streamSid"]


def test_with_a_token_the_upgrade_is_signed_and_no_key_travels(system: System, short: Path) -> None:
    play(system, "twilio", "--twilio-token", "secret", short)
    (socket,) = system.sockets
    url = system.url.replace("http", "ws") + "/pbx/twilio"
    assert socket.headers["x-twilio-signature"] == sign(url, "secret")
    (start,) = socket.events("start")
    assert "api_key" not in start["start"]["customParameters"]


def test_a_signature_is_hmac_sha1_in_base64() -> None:
    """The second case of RFC 2202."""
    digest = bytes.fromhex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
    assert base64.b64decode(sign("what do ya want for nothing?", "Jefe")) == digest


def test_lost_chunks_leave_holes_in_the_numbers(system: System, short: Path) -> None:
    _, output = play(system, "twilio", "--loss", 0.2, "--seed", 3, short)
    (socket,) = system.sockets
    lost = counted(output)["lost on purpose"]
    assert lost > 5
    assert len(socket.events("media")) == 100 - lost
    assert socket.events("stop")[0]["sequenceNumber"] == "102"


def test_reordered_and_doubled_chunks_keep_their_numbers(system: System, short: Path) -> None:
    play(system, "twilio", "--reorder", 0.2, "--duplicate", 0.2, "--seed", 3, short)
    numbers = [int(one["sequenceNumber"]) for one in system.sockets[0].events("media")]
    assert len(numbers) > len(set(numbers)) == 100
    assert numbers != sorted(numbers)


def test_a_stream_that_dies_stays_dead(system: System, short: Path) -> None:
    system.after = 20
    code, output = play(system, "twilio", short, speed=2)
    assert code == 1
    assert "the socket died" in output
    assert len(system.sockets) == 1


def test_a_call_that_is_not_stored_whole_fails(system: System, short: Path) -> None:
    system.stored = 9
    for dialect in ("asterisk", "twilio"):
        code, output = play(system, dialect, short)
        assert code == 1
        assert "9 packets stored, 10 expected" in output


# What does not fit ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("asterisk", "--reorder", "0.1"), "carry no numbers"),
        (("asterisk", "--duplicate", "0.1"), "carry no numbers"),
        (("asterisk", "--race", "5"), "http only"),
        (("http", "--plain"), "asterisk only"),
        (("http", "--twilio-token", "t"), "twilio only"),
    ],
)
def test_what_a_dialect_cannot_show_is_said(
    system: System, words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        play(system, *words)
    assert not system.sockets
