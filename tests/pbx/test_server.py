"""Sockets of PBXs through the real server, which hands frames over by a short way of its own."""

import base64
import json
import os
import secrets
import socket as sockets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from callcenter.embedded.engines import Urls
from calls.models import Call, Packet, Stream
from calls.states import EndReason, State
from tests.factories import api_key, fresh_id
from tests.pbx.phones import asterisk
from tests.pbx.talking import audio, frames, media_start
from tests.processes import WEB, answers, free_port, running, web
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def url(engines: Urls, tmp_path: Path) -> Iterator[str]:
    with web(urls=engines, home=tmp_path) as address:
        yield address


def stored(call_id: str) -> bytes:
    packets = Packet.objects.filter(call__call_id=call_id).order_by("sequence")
    return b"".join(base64.b64decode(packet.data) for packet in packets)


def ended(call_id: str) -> Call:
    over = Call.objects.filter(call_id=call_id).exclude(state=State.IN_PROGRESS)
    until(over.exists, 10, "the call to have ended")
    return over.get()


def test_a_call_is_upgraded_answered_and_stored(url: str) -> None:
    call_id, sound = fresh_id(), audio(1.1)
    with asterisk(url, f"call_id={call_id}", api_key("ingest")) as socket:
        response = socket.response
        assert response is not None
        assert response.headers["Sec-WebSocket-Protocol"] == "media"
        assert "Sec-WebSocket-Extensions" not in response.headers
        socket.send(media_start())
        assert json.loads(socket.recv(5)) == {"command": "ANSWER"}
        for frame in frames(sound):
            socket.send(frame)
        socket.ping().wait(5)
    assert ended(call_id).end_reason == EndReason.HANGUP
    assert stored(call_id) == sound


def test_frames_of_every_kind_and_cut_anywhere_arrive_whole(url: str) -> None:
    """Small and large ones, fragments, pings between them, a byte at a time and all at once."""
    call_id, sound = fresh_id(), audio(9.0)
    parts = [sound[:1], sound[1:126], sound[126:300], sound[300:20_000], sound[20_000:40_000]]
    rest = sound[40_000:]
    wire = b"".join(
        [
            frame(0x81, media_start().encode()),
            *(frame(0x82, part) for part in parts[:3]),
            frame(0x89, b"ping"),
            frame(0x82, b""),
            frame(0x82, parts[3]),
            frame(0x82, parts[4]),
            frame(0x02, rest[:100]),
            frame(0x89, b"between"),
            frame(0x80, rest[100:300]),
            *(frame(0x82, one) for one in frames(rest[300:])),
            frame(0x88, (1000).to_bytes(2, "big")),
        ]
    )
    with raw(url, f"call_id={call_id}") as wire_end:
        for at in range(0, 700):
            wire_end.sendall(wire[at : at + 1])
        wire_end.sendall(wire[700:])
        assert ended(call_id).end_reason == EndReason.HANGUP
    assert stored(call_id) == sound


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b"\x82\x05plain", 1002),  # not masked
        (b"\xf2\x80abcd", 1002),  # bits that nobody asked for
        (b"\x83\x80abcd", 1002),  # no such kind
        (b"\x81\x81\0\0\0\0\xff", 1007),  # text that is none
        (b"\x82\xff\0\0\0\0\0\x10\0\0abcd", 1009),  # a megabyte
    ],
)
def test_what_is_no_frame_is_refused_by_its_code(url: str, wrong: bytes, code: int) -> None:
    with raw(url, f"call_id={fresh_id()}") as wire_end:
        wire_end.sendall(frame(0x81, media_start().encode()) + wrong)
        said = b""
        while b"\x88" not in said:
            said += wire_end.recv(4096) or pytest.fail("closed without a code")
        assert int.from_bytes(said[said.index(b"\x88") + 2 :][:2], "big") == code


def test_a_socket_that_dies_without_a_word_is_lost(url: str) -> None:
    call_id = fresh_id()
    with raw(url, f"call_id={call_id}") as wire_end:
        wire_end.sendall(frame(0x81, media_start().encode()))
        wire_end.sendall(b"".join(frame(0x82, one) for one in frames(audio(0.5))))
    lost = Stream.objects.filter(call__call_id=call_id, lost=True)
    until(lost.exists, 10, "the socket to be known as lost")
    assert stored(call_id) == audio(0.5)
    assert Call.objects.get(call_id=call_id).state == State.IN_PROGRESS


def test_a_close_without_a_code_hangs_up(url: str) -> None:
    call_id = fresh_id()
    with raw(url, f"call_id={call_id}") as wire_end:
        wire_end.sendall(frame(0x81, media_start().encode()))
        wire_end.sendall(b"".join(frame(0x82, one) for one in frames(audio(0.5))))
        wire_end.sendall(frame(0x88, b""))
        assert ended(call_id).end_reason == EndReason.HANGUP


def test_a_wrong_password_is_refused_before_the_upgrade_and_named_in_words(url: str) -> None:
    with pytest.raises(InvalidStatus) as refusal, asterisk(url, "", "cc_wrong"):
        pass
    assert refusal.value.response.status_code == 401
    assert b"API key" in (refusal.value.response.body or b"")


@pytest.mark.parametrize(
    ("query", "more", "status"),
    [("call_id=" + "a" * 9000, [], 414), ("", [f"X-{n}: y" for n in range(200)], 431)],
)
def test_a_head_that_is_too_long_is_answered_too(
    query: str, more: list[str], status: int, url: str
) -> None:
    with asked(url, query, *more) as (wire_end, answer):
        assert answer.startswith(f"HTTP/1.1 {status}".encode())
        while wire_end.recv(4096):
            pass


def test_a_refusal_is_one_line_in_the_log(engines: Urls, tmp_path: Path) -> None:
    port = free_port()
    with running(WEB, urls=engines, home=tmp_path, PORT=str(port)) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/health"), 30, "an answer")
        with asked(url, "agents=Ada") as (_, answer):
            assert answer.startswith(b"HTTP/1.1 422")
    (line,) = [line for line in process.said().splitlines() if "refused" in line or "ERROR" in line]
    assert "from 127.0.0.1 was refused with 422: 'agents' in the address" in line


def test_a_server_that_stops_stores_what_came_and_the_call_goes_on(
    engines: Urls, tmp_path: Path
) -> None:
    call_id, sound = fresh_id(), audio(0.5)
    with ExitStack() as stack:
        with web(urls=engines, home=tmp_path) as address:
            socket = stack.enter_context(asterisk(address, f"call_id={call_id}", api_key("ingest")))
            socket.send(media_start("1.1"))
            for one in frames(sound):
                socket.send(one)
            socket.ping().wait(5)
        socket.recv(5)
        with pytest.raises(ConnectionClosed) as closing:
            socket.recv(5)
    assert closing.value.rcvd is None or closing.value.rcvd.code == 1012
    assert stored(call_id) == sound
    assert Call.objects.get(call_id=call_id).state == State.IN_PROGRESS


def frame(kind: int, data: bytes) -> bytes:
    """A masked frame, as a client has to send it."""
    mask, size = secrets.token_bytes(4), len(data)
    if size < 126:
        head = bytes([kind, 0x80 | size])
    else:
        head = bytes([kind, 0x80 | 126]) + size.to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))


@contextmanager
def raw(url: str, query: str) -> Iterator[sockets.socket]:
    """A socket after its upgrade, without a library."""
    with asked(url, query) as (wire_end, answer):
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield wire_end


@contextmanager
def asked(url: str, query: str, *more: str) -> Iterator[tuple[sockets.socket, bytes]]:
    """A socket that asked for the upgrade, with more lines in the head, and the answer."""
    parts = urlsplit(url)
    basic = base64.b64encode(f"pbx:{api_key('ingest')}".encode()).decode()
    head = [
        f"GET /pbx/asterisk?{query} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        f"Authorization: Basic {basic}",
        *more,
    ]
    with sockets.create_connection((str(parts.hostname), int(parts.port or 0)), 10) as wire_end:
        wire_end.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += wire_end.recv(4096) or pytest.fail("closed without an answer")
        yield wire_end, answer
