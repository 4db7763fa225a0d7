"""What no HTTP library would send, byte by byte to a web process."""

import gzip
import json
import re
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from callcenter.embedded.engines import Urls
from callcenter.limits import MIB
from calls.models import Call, Packet
from tests.factories import SPEECHLESS, api_key
from tests.processes import web
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

PACKET = json.dumps({"sequence": 0, "data": SPEECHLESS, "timestamp": 1.5}).encode()
STREAM = "/v1/call/stream/raw"
NONE: Mapping[str, str] = {}
IN_CHUNKS = {"Content-Length": "", "Transfer-Encoding": "chunked"}


@pytest.fixture(scope="module")
def server(
    django_db_setup: None, engines: Urls, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with web(urls=engines, home=tmp_path_factory.mktemp("web")) as url:
        yield url


@pytest.fixture
def key() -> bytes:
    return api_key().encode()


class Line:
    """A connection on which anything can be said."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        self._heard = b""

    def say(self, words: bytes) -> None:
        self._socket.sendall(words)

    def hang_up(self) -> None:
        self._socket.close()

    def answer(self, *, head_only: bool = False) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body of the next answer; 0 where the line is cut without one."""
        while b"\r\n\r\n" not in self._heard:
            if not self._hear():
                return 0, {}, b""
        head, _, self._heard = self._heard.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(re.split(rb":\s*", line.lower(), maxsplit=1) for line in lines)
        length = 0 if head_only else int(headers.get(b"content-length", 0))
        while len(self._heard) < length and self._hear():
            pass
        body, self._heard = self._heard[:length], self._heard[length:]
        return int(first.split()[1]), headers, body

    def _hear(self) -> bytes:
        try:
            more = self._socket.recv(65536)
        except ConnectionResetError:
            more = b""
        self._heard += more
        return more


Text = str | bytes


def request(
    key: bytes, method: str, path: Text, body: bytes = b"", headers: Mapping[str, Text] = NONE
) -> bytes:
    """An empty header is left out."""
    usual: dict[str, Text] = {
        "Host": "localhost",
        "X-API-Key": key,
        "Content-Length": str(len(body)),
    }
    lines = [_bytes(method) + b" " + _bytes(path) + b" HTTP/1.1"]
    for name, value in {**usual, **headers}.items():
        if value:
            lines.append(_bytes(name) + b": " + _bytes(value))
    return b"\r\n".join([*lines, b"", body])


def _bytes(text: Text) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def ask(url: str, words: bytes) -> tuple[int, bytes]:
    """What is answered, after a look whether it is fit for a program."""
    line = Line(url)
    line.say(words)
    status, headers, body = line.answer()
    line.hang_up()
    assert status < 500
    assert b"html" not in headers.get(b"content-type", b"")
    if status >= 400:
        assert set(json.loads(body)) == {"detail"}
    return status, body


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def test_a_body_in_chunks_of_one_byte_is_a_body(server: str, key: bytes) -> None:
    body = chunked(*(PACKET[n : n + 1] for n in range(len(PACKET))))
    head = request(key, "POST", STREAM, headers=IN_CHUNKS)
    assert ask(server, head + body)[0] == 202
    assert Packet.objects.get().data == SPEECHLESS


def test_a_body_of_chunks_without_end_is_refused_once_it_is_too_large(
    server: str, key: bytes
) -> None:
    head = request(key, "POST", STREAM, headers=IN_CHUNKS)
    assert ask(server, head + chunked(*[b"x" * 65_536] * 20))[0] == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "5", "Transfer-Encoding": "chunked"},
        {"Content-Length": "-1"},
        {"Content-Length": "1e3"},
        {"Content-Length": "99999999999999999999999999"},
        {"Content-Length": "5, 6"},
        {"Transfer-Encoding": "gzip, chunked, chunked, identity"},
        {"X-API-Key": b"a\0b"},
        {"X Space": "1"},
        {"": "1"},
    ],
)
def test_headers_that_contradict_or_make_no_sense_are_refused(
    server: str, key: bytes, headers: dict[str, Text]
) -> None:
    words = request(key, "POST", STREAM, headers=headers) + chunked(PACKET)
    assert ask(server, words)[0] in (400, 413)
    assert not Call.objects.exists()


def test_two_lengths_are_refused(server: str, key: bytes) -> None:
    words = request(key, "POST", STREAM, PACKET).replace(b"Host", b"Content-Length: 3\r\nHost")
    assert ask(server, words)[0] == 400


def test_a_sender_that_leaves_in_the_midst_of_a_body_has_sent_nothing(
    server: str, key: bytes
) -> None:
    """Not even where what came would do by itself."""
    line = Line(server)
    line.say(request(key, "POST", STREAM, PACKET, {"Content-Length": str(len(PACKET) + 5)}))
    line.hang_up()
    assert ask(server, request(key, "POST", "/v1/call/stream/next", PACKET))[0] == 202
    assert list(Call.objects.values_list("call_id", flat=True)) == ["next"]


def test_requests_sent_at_one_go_are_answered_in_their_order(server: str, key: bytes) -> None:
    line = Line(server)
    bodies = [PACKET.replace(b'"sequence": 0', b'"sequence": %d' % n) for n in range(20)]
    line.say(b"".join(request(key, "POST", STREAM, body) for body in bodies))
    answers = [line.answer() for _ in bodies]
    assert [json.loads(body)["sequence"] for _, _, body in answers] == list(range(20))
    line.hang_up()


def test_who_asks_first_whether_to_send_is_told_to_go_on(server: str, key: bytes) -> None:
    line = Line(server)
    expecting = {"Expect": "100-continue", "Content-Length": str(len(PACKET))}
    line.say(request(key, "POST", STREAM, headers=expecting))
    assert line.answer(head_only=True)[0] == 100
    line.say(PACKET)
    assert line.answer()[0] == 202
    line.hang_up()


NO_PACKETS = {
    "compressed": gzip.compress(PACKET),
    "a bomb": gzip.compress(bytes(100 * MIB), 9),
    "not UTF-8": PACKET.replace(b"/", b"\xff"),
    "an overlong NUL": PACKET.replace(b"/", b"\xc0\x80"),
    "UTF-16": PACKET.decode().encode("utf-16"),
    "two values": PACKET + PACKET,
    "an unknown field twice": b'{"a": 1, "a": 1,' + PACKET[1:],
}


@pytest.mark.parametrize("what", NO_PACKETS)
def test_a_body_that_is_no_packet_is_refused(server: str, key: bytes, what: str) -> None:
    body, compressed = NO_PACKETS[what], {"Content-Encoding": "gzip"}
    assert ask(server, request(key, "POST", STREAM, body, compressed))[0] == 422
    assert ask(server, request(key, "POST", "/v1/packets", body, compressed))[0] == 422


def test_of_a_field_that_comes_twice_the_last_counts_on_both_ways(server: str, key: bytes) -> None:
    twice = b'{"sequence": 5,' + PACKET[1:]
    status, body = ask(server, request(key, "POST", STREAM, twice))
    assert (status, json.loads(body)["sequence"]) == (202, 0)
    status, body = ask(server, request(key, "PUT", "/v1/call/raw", b'{"agent":"a","agent":"b"}'))
    assert (status, json.loads(body)["agent"]) == (200, "b")


@pytest.mark.parametrize(
    "words",
    [
        b"X-Long: " + b"x" * MIB + b"\r\n",
        b"X-Many: x\r\n" * 100_000,
        b"x" * MIB,
    ],
)
def test_headers_without_end_are_refused(server: str, key: bytes, words: bytes) -> None:
    head = request(key, "GET", "/v1/stats")[:-2]
    line = Line(server)
    try:
        line.say(head + words)
    except (BrokenPipeError, ConnectionResetError):
        return  # cut off, which is an answer too
    assert line.answer()[0] in (0, 431)


@pytest.mark.parametrize("length", [201, 30_000, MIB])
def test_words_of_any_length_to_search_for_are_refused(
    server: str, key: bytes, length: int
) -> None:
    line = Line(server)
    try:
        line.say(request(key, "GET", "/v1/calls?q=" + "x" * length))
    except (BrokenPipeError, ConnectionResetError):
        return
    assert line.answer()[0] in (0, 422, 431)


@pytest.mark.parametrize(
    "words",
    [
        "!!(((&|:*<->",
        "a:*b & !",
        "''''",
        '"',
        "\\",
        "-" * 200,
        "or or or",
        '"a" <2> b',
        ")(",
        "%00",
    ],
)
def test_search_takes_no_word_for_an_operator(server: str, key: bytes, words: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in words.encode()) if words != "%00" else words
    status, _ = ask(server, request(key, "GET", f"/v1/calls?q={quoted}"))
    assert status == (422 if words == "%00" else 200)


@pytest.mark.parametrize(
    "cursor", ["0", "1", "9" * 18, "9" * 19, "-1", "1e3", "%D9%A1", "1%00", "' OR 1=1", "0x10", ""]
)
def test_a_forged_cursor_finds_nothing_or_is_refused(server: str, key: bytes, cursor: str) -> None:
    address = f"/v1/calls?cursor={cursor}".replace(" ", "%20")
    assert ask(server, request(key, "GET", address))[0] in (200, 422)


def test_an_address_with_thousands_of_parameters_is_refused(server: str, key: bytes) -> None:
    address = "/v1/calls?" + "&".join(["limit=1"] * 5000)
    assert ask(server, request(key, "GET", address))[0] == 422


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin/", "/v1/./stats", "/v1/call/..;/stats", "/v1/call/%2e%2e/stats",
        "/v1//stats", "/v1/stats/", "/v1/stats;a=b", "/v1/stats%00", "/v1/stats%0d%0aX: y",
        "/v1/call/a%2Fb", "/v1/call/a%252Fb", "/v1/call/a%5Cb", "/v1/call/%ff%fe", "/v1/call/%",
        "/v1/call/a%00/status", "/v1/call/a b", b"/v1/call/\xff", "/v1/%2e%2e%2fadmin/",
    ],
)  # fmt: skip
def test_a_path_with_a_trick_leads_nowhere(server: str, key: bytes, path: str | bytes) -> None:
    assert ask(server, request(key, "GET", path))[0] in (400, 404, 422)


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://evil.example/v1/stats HTTP/1.1", b"OPTIONS * HTTP/1.1",
        b"CONNECT evil.example:443 HTTP/1.1", b"GET /v1/stats HTTP/9.9", b"GET /v1/stats",
        b"G\xffT /v1/stats HTTP/1.1", b"GET  HTTP/1.1", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0",
    ],
)  # fmt: skip
def test_a_first_line_that_is_none_is_no_error_of_ours(server: str, line: bytes) -> None:
    said = Line(server)
    said.say(line + b"\r\nHost: localhost\r\n\r\n")
    assert said.answer()[0] in (400, 401, 404)
    said.hang_up()


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "DELETE", "PROPFIND", "PURGE"])
def test_a_method_that_an_address_does_not_take_is_refused(
    server: str, key: bytes, method: str
) -> None:
    for path in ("/v1/stats", "/v1/packets", "/v1/openapi.json", STREAM):
        assert ask(server, request(key, method, path))[0] == 405


def test_a_head_has_no_body_and_nothing_is_left_on_the_line(server: str, key: bytes) -> None:
    line = Line(server)
    for path in ("/v1/stats", "/v1/openapi.json", "/v1/nothing", "/v1/call/raw/recording"):
        line.say(request(key, "HEAD", path))
        assert line.answer(head_only=True)[0] in (200, 404, 405)
    line.say(request(key, "GET", "/v1/stats"))
    assert line.answer()[0] == 200
    line.hang_up()


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_header_does_not_override_the_method(server: str, key: bytes, name: str) -> None:
    path = "/v1/call/raw?_method=PUT"
    assert ask(server, request(key, "GET", path, b"{}", {name: "PUT"}))[0] == 404
    assert not Call.objects.exists()


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL"])
def test_a_header_does_not_override_the_address(server: str, name: str) -> None:
    assert ask(server, request(b"", "GET", "/v1/stats", headers={name: "/health"}))[0] == 401


@pytest.mark.parametrize(
    "ranges", ["bytes=" + ",".join(["0-"] * 5000), "bytes=0-0," * 1000, "bytes=0-\0", "bytes=\xff-"]
)
def test_a_range_that_asks_for_too_much_gets_the_whole_once(
    server: str, key: bytes, ranges: str
) -> None:
    ask(server, request(key, "POST", STREAM, PACKET))
    status, body = ask(
        server, request(key, "GET", "/v1/call/raw/recording", headers={"Range": ranges})
    )
    assert (status, len(body)) in ((200, 44 + 320), (400, len(body)))


def test_a_socket_is_no_way_around_the_key(server: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    line = Line(server)
    line.say(request(b"", "GET", "/v1/stats", headers=upgrade))
    assert line.answer(head_only=True)[0] == 101
    until(lambda: b"\x88\x02\x11\x34" in line._heard or not line._hear(), 5, "its end with 4404")
    line.hang_up()


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_keys_the_bearer_counts_whichever_comes_first(
    server: str, key: bytes, turned: bool
) -> None:
    for bearer, other, status in ((b"x", key, 401), (key, b"x", 202)):
        both = {"Authorization": b"Bearer " + bearer, "X-Api-Key": other}
        headers = dict(reversed(both.items())) if turned else both
        assert ask(server, request(b"", "POST", STREAM, PACKET, headers))[0] == status
