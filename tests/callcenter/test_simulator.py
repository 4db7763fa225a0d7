"""The PBX simulator, against a small real server that records what it gets."""

import asyncio
import base64
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from callcenter.simulator.demo import Pace, demo
from callcenter.simulator.http import Http
from callcenter.simulator.line import Access, Line
from callcenter.simulator.options import KEY, NoAccess, find_access
from callcenter.simulator.packets import BYTES, Network, packetise, travel
from callcenter.simulator.pbx import CallIds, Manner, Pbx
from callcenter.simulator.recordings import RATE, Recording, recordings
from callcenter.simulator.tally import Tally
from callcenter.sound.g711 import to_ulaw
from callcenter.sound.resampling import resample
from callcenter.sound.wav import open_wav, ulaw_file
from tests.callcenter.serving import bare_server, served
from tests.waiting import until

FAST = 200.0
SHORT = ulaw_file([bytes([n % 200 for n in range(RATE)])] * 2, RATE)

Answer = tuple[int, dict[str, str], dict[str, Any]]
Rule = Callable[["Request"], Answer | None]


@dataclass
class Request:
    method: str
    path: str
    body: dict[str, Any]
    key: str
    port: int
    """Of the client: tells connections apart."""
    at: float


@dataclass
class System:
    """Acknowledges packets as the contract says, unless `rule` answers first."""

    requests: list[Request] = field(default_factory=list)
    rule: Rule = lambda _: None
    crowd: asyncio.Barrier | None = None
    stored: set[tuple[str, int]] = field(default_factory=set)
    url: str = ""

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        raw, more = b"", True
        while more:
            event: Any = await receive()
            raw, more = raw + event.get("body", b""), event.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = Request(
            method=scope["method"],
            path=scope["path"],
            body=json.loads(raw or b"{}"),
            key=headers.get("authorization", ""),
            port=(scope["client"] or ("", 0))[1],
            at=time.monotonic(),
        )
        answer = self.rule(request) or self.usual(request)
        self.requests.append(request)
        if self.crowd and "/stream/" in request.path:
            await asyncio.wait_for(self.crowd.wait(), 10)
        await respond(send, *answer)

    def usual(self, request: Request) -> Answer:
        if "/stream/" in request.path:
            packet = (request.path, request.body["sequence"])
            seen = packet in self.stored
            self.stored.add(packet)
            return 202, {}, {"status": "accepted", "sequence": packet[1], "duplicate": seen}
        if request.path.endswith("/status"):
            return 200, {}, {"state": "IN_PROGRESS", "packet_count": len(self.stored)}
        return 200, {}, {"call_id": request.path}

    def packets(self) -> list[Request]:
        return [request for request in self.requests if "/stream/" in request.path]

    def sequences(self) -> list[int]:
        return [packet.body["sequence"] for packet in self.packets()]


async def respond(
    send: ASGISendCallable, status: int, headers: dict[str, str], body: dict[str, Any]
) -> None:
    raw = json.dumps(body).encode()
    fields = [(b"content-length", str(len(raw)).encode())]
    fields += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send(
        {"type": "http.response.start", "status": status, "headers": fields, "trailers": False}
    )
    await send({"type": "http.response.body", "body": raw, "more_body": False})


@pytest.fixture(scope="module")
def serving() -> Iterator[System]:
    found = System()
    with served(bare_server(found)) as found.url:
        yield found


@pytest.fixture
def system(serving: System) -> System:
    """As if it had just been started."""
    serving.requests, serving.stored = [], set()
    serving.rule, serving.crowd = lambda _: None, None
    return serving


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """One second, two tracks."""
    path = tmp_path / "short call.wav"
    path.write_bytes(SHORT)
    return path


def play(system: System, *words: object, speed: float = FAST) -> tuple[int, str]:
    """`play_calls` with these words: its exit code, and what it printed."""
    output = StringIO()
    given = ("--url", system.url, "--api-key", "key", "--speed", speed, *words)
    try:
        call_command("play_calls", *map(str, given), stdout=output)
    except SystemExit as end:
        return int(end.code or 0), output.getvalue()
    return 0, output.getvalue()


def counted(output: str) -> dict[str, int]:
    """The table at the end."""
    rows = re.findall(r"^ *([a-z ]+?) {2,}([\d,]+)$", output, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in rows}


# A call --------------------------------------------------------------------------------------


def test_a_call_is_announced_streamed_and_ended(system: System, short: Path) -> None:
    code, output = play(system, short)
    assert code == 0
    kinds = [(r.method, r.path.split("/")[-2]) for r in system.requests]
    assert kinds[0][0] == "PUT"
    assert kinds[1:-1] == [("POST", "stream")] * 10
    assert system.requests[-1].path.endswith("/end")
    assert system.requests[-1].body == {"reason": "hangup"}
    assert {r.key for r in system.requests} == {"Bearer key"}
    assert "began" in output
    assert "ended" in output


def test_the_announcement_says_who_speaks_and_how(system: System) -> None:
    play(system, "--calls", 1)
    (first, *_) = recordings()
    assert system.requests[0].body == {
        "agent": first.agent,
        "queue": first.queue,
        "caller": first.caller,
        "callee": first.callee,
        "direction": first.direction,
        "media": {"encoding": "audio/x-mulaw", "sample_rate": 8000},
    }


def test_packets_are_numbered_from_0_over_both_tracks(system: System, short: Path) -> None:
    play(system, short)
    assert system.sequences() == list(range(10))
    assert [p.body["track"] for p in system.packets()] == ["inbound", "outbound"] * 5


def test_the_packets_of_a_track_are_its_sound(system: System) -> None:
    play(system, "--calls", 1)
    (first, *_) = recordings()
    for track, sound in first.tracks.items():
        pieces = [p.body["data"] for p in system.packets() if p.body["track"] == track]
        sent = [base64.b64decode(piece, validate=True) for piece in pieces]
        assert {len(piece) for piece in sent[:-1]} == {BYTES} == {1600}
        assert b"".join(sent) == sound


def test_timestamps_are_the_time_of_the_audio_at_any_speed(system: System, short: Path) -> None:
    before = time.time()
    play(system, short, speed=50)
    stamps = [p.body["timestamp"] for p in system.packets()]
    assert before <= stamps[0] <= time.time()
    offsets = [stamp - stamps[0] for stamp in stamps]
    assert offsets == pytest.approx([n // 2 * 0.2 for n in range(10)], abs=0.002)


@pytest.mark.parametrize(("speed", "least"), [(1, 1.0), (4, 0.25)])
def test_a_call_takes_its_time(system: System, short: Path, speed: float, least: float) -> None:
    play(system, short, speed=speed)
    assert system.requests[-1].at - system.requests[0].at >= least


def test_every_demo_call_is_played_once_side_by_side(system: System) -> None:
    code, output = play(system, "--loss", 0.9)
    assert code == 0
    announced = [n for n, r in enumerate(system.requests) if r.method == "PUT"]
    ended = [n for n, r in enumerate(system.requests) if r.path.endswith("/end")]
    assert len(announced) == len(ended) == len(recordings())
    assert max(announced) < min(ended)
    assert counted(output)["calls"] == len(recordings())


def test_more_calls_than_recordings_get_ids_of_their_own(system: System, short: Path) -> None:
    play(system, short, "--calls", 3)
    ids = {r.path for r in system.requests if r.method == "PUT"}
    assert len(ids) == 3
    assert all(re.fullmatch(r"/v1/call/play-\d{14}-short_call(-\d)?", path) for path in ids)


def test_any_wav_file_can_be_played(system: System, tmp_path: Path) -> None:
    """Mono is the caller; another rate becomes 8 kHz."""
    samples = np.rint(9000 * np.sin(np.arange(44_100) * 0.05)).astype(np.int16)
    path = tmp_path / "tone.wav"
    path.write_bytes(ulaw_file([to_ulaw(samples)], 44_100))
    play(system, path)
    assert {p.body["track"] for p in system.packets()} == {"inbound"}
    sent = b"".join(base64.b64decode(p.body["data"]) for p in system.packets())
    assert sent == to_ulaw(resample(open_wav(path).mono(), 44_100, 8_000))


# A bad network -------------------------------------------------------------------------------


def test_lost_packets_are_never_sent_and_counted(system: System) -> None:
    code, output = play(system, "--calls", 2, "--loss", 0.2, "--seed", 3)
    rows = counted(output)
    assert code == 0
    assert rows["lost on purpose"] > 20
    assert rows["packets sent"] == len(system.packets())
    total = sum(len(packetise(recording.tracks)) for recording in recordings()[:2])
    assert rows["packets sent"] + rows["lost on purpose"] == total


def test_duplicates_are_sent_twice_and_counted(system: System) -> None:
    _, output = play(system, "--calls", 1, "--duplicate", 0.2, "--seed", 3)
    rows = counted(output)
    twice = [n for n, times in Counter(system.sequences()).items() if times == 2]
    assert rows["acknowledged as duplicate"] == len(twice) > 10
    assert rows["acknowledged as new"] == len(set(system.sequences()))


def test_reordered_packets_arrive_a_few_places_late_and_none_is_missing(system: System) -> None:
    play(system, "--calls", 1, "--reorder", 0.2, "--seed", 3)
    sequences = system.sequences()
    assert sorted(sequences) == list(range(len(sequences))) != sequences
    assert max(abs(place - n) for place, n in enumerate(sequences)) <= 6


def test_the_same_seed_gives_the_same_journey() -> None:
    packets = packetise(recordings()[0].tracks)
    network = Network(loss=0.1, reorder=0.1, duplicate=0.1)
    journeys = [travel(packets, network, Manner(seed=5).chance(0)) for _ in range(2)]
    assert journeys[0] == journeys[1]
    assert travel(packets, network, Manner(seed=6).chance(0)) != journeys[0]


def test_a_good_network_changes_nothing() -> None:
    packets = packetise(recordings()[0].tracks)
    assert travel(packets, Network(), random.Random()).packets == tuple(packets)


# A system in trouble -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_system_is_asked_again_when_it_says(
    system: System, short: Path, status: int
) -> None:
    refusals: list[Request] = []

    def busy(request: Request) -> Answer | None:
        if request.body.get("sequence") == 4 and len(refusals) < 2:
            refusals.append(request)
            return status, {"Retry-After": "0.2"}, {"detail": "busy"}
        return None

    system.rule = busy
    code, output = play(system, short)
    assert code == 0
    assert counted(output)["requests tried again"] == 2
    assert counted(output)["packets sent"] == counted(output)["acknowledged as new"] == 10
    again = [r.at for r in system.packets() if r.body["sequence"] == 4]
    assert min(b - a for a, b in pairwise(again)) >= 0.2


def test_a_system_that_stays_busy_is_given_up(system: System, short: Path) -> None:
    system.rule = lambda request: (
        (503, {"Retry-After": "0"}, {"detail": "the store is away"})
        if request.body.get("sequence", 0) > 2
        else None
    )
    code, output = play(system, short)
    assert code == 1
    assert "given up after 7 tries: 503" in output
    assert "the store is away" in output
    assert counted(output)["refused"] == 1
    assert system.requests[-1].path.endswith("/end")


async def test_a_system_that_is_not_there_yet_is_tried_again() -> None:
    tally = Tally(say=lambda _: None)
    server = bare_server(System())
    address = f"http://127.0.0.1:{server.config.port}"
    async with Line(Access(address, "key"), tally) as line:
        request = asyncio.create_task(line.request("POST", "/v1/call/a/end"))
        await asyncio.to_thread(until, lambda: tally.retried >= 1, 10)
        with served(server):
            assert await request == {"call_id": "/v1/call/a/end"}


def test_a_refusal_is_shown_and_makes_the_exit_code_1(system: System, short: Path) -> None:
    system.rule = lambda request: (
        (422, {}, {"detail": "sequence is taken"}) if request.body.get("sequence") == 3 else None
    )
    code, output = play(system, short)
    assert code == 1
    assert "packet 3" in output
    assert "422" in output
    assert "sequence is taken" in output
    rows = counted(output)
    assert (rows["refused"], rows["acknowledged as new"]) == (1, 9)


def test_a_refused_announcement_ends_the_call_before_it_began(system: System, short: Path) -> None:
    system.rule = lambda _: (401, {}, {"detail": "wrong key"})
    code, output = play(system, short)
    assert code == 1
    assert "wrong key" in output
    assert len(system.requests) == 1


def test_many_refusals_are_not_all_shown(system: System) -> None:
    system.rule = lambda request: (
        (422, {}, {"detail": "no"}) if "/stream/" in request.path else None
    )
    _, output = play(system, "--calls", 1)
    assert output.count("422") == 20
    assert counted(output)["refused"] > 100


# Race ----------------------------------------------------------------------------------------


def test_racers_arrive_at_once_over_connections_of_their_own(system: System) -> None:
    system.crowd = asyncio.Barrier(12)
    code, output = play(system, "--race", 12)
    assert code == 0
    assert len({packet.port for packet in system.packets()}) == 12
    assert sorted(system.sequences()) == list(range(12))
    assert "12 x 202" in output
    assert "sequences 0-11" in output
    assert "packet_count 12" in output


def test_a_race_that_loses_a_packet_fails(system: System) -> None:
    system.rule = lambda request: (
        (200, {}, {"packet_count": 4}) if request.path.endswith("/status") else None
    )
    code, output = play(system, "--race", 5)
    assert code == 1
    assert "packet_count 4" in output


def test_a_refused_racer_fails_and_is_shown(system: System) -> None:
    system.rule = lambda request: (
        (500, {}, {"detail": "deadlock"}) if request.body.get("sequence") == 2 else None
    )
    code, output = play(system, "--race", 5)
    assert code == 1
    assert "deadlock" in output
    assert "sequences 0-1, 3-4" in output


# The demo ------------------------------------------------------------------------------------


async def test_the_demo_waits_then_plays_each_call_once_and_goes_on(system: System) -> None:
    asked: list[str] = []

    def ill_at_first(request: Request) -> Answer | None:
        asked.append(request.path)
        return (503, {}, {}) if asked.count("/health") == 1 else None

    system.rule = ill_at_first
    said: list[str] = []
    tally = Tally(say=said.append)
    calls = [Recording(name, {"inbound": bytes(4000)}) for name in ("one", "two", "three")]
    async with Line(Access(system.url, "key"), tally) as line:
        ids = CallIds("demo", datetime(2026, 1, 31, 12, tzinfo=UTC))
        pbx = Pbx(Http(line), Manner(speed=1), ids, tally)
        playing = asyncio.create_task(demo(line, pbx, calls, said.append, Pace(0.05, 0.05)))
        await asyncio.to_thread(until, lambda: sum("began" in one for one in said) >= 4, 10)
        playing.cancel()
        await asyncio.wait([playing])
    assert "waiting" in said[0]
    begun = [line.split()[0] for line in said if "began" in line]
    names = ["one", "two", "three", "one-2"]
    assert begun[:4] == [f"demo-20260131120000-{name}" for name in names]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_ends_its_calls(system: System, number: signal.Signals) -> None:
    command = [sys.executable, "manage.py", "play_calls", "--demo", "--url", system.url]
    process = subprocess.Popen(
        [*command, "--api-key", "key"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(system.packets()) > 3, 30, "packets")
    process.send_signal(number)
    output, errors = process.communicate(timeout=5)
    assert errors == ""
    assert process.returncode == 0
    assert system.requests[-1].path.endswith("/end")
    assert counted(output)["calls"] == 1


# Address and key -----------------------------------------------------------------------------


def test_the_key_is_the_given_one_else_the_environments_else_the_first_runs(tmp_path: Path) -> None:
    kept = tmp_path / "first-run.json"
    kept.write_text('{"api_key": "kept"}')
    url = "http://localhost:8000/"
    assert find_access(url, "given", {KEY: "environment"}, kept) == Access(url[:-1], "given")
    assert find_access(url, None, {KEY: "environment"}, kept).key == "environment"
    assert find_access(url, None, {}, kept).key == "kept"


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_without_any_key_it_says_where_it_looked(tmp_path: Path, content: str | None) -> None:
    kept = tmp_path / "first-run.json"
    if content is not None:
        kept.write_text(content)
    with pytest.raises(NoAccess, match=rf"{KEY}.*first-run\.json"):
        find_access("http://localhost", None, {}, kept)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--loss", "1.5"), "a number from 0 to 1"),
        (("--loss", "nan"), "a number from 0 to 1"),
        (("--speed", "0"), "a number from 0.01"),
        (("--calls", "0"), "a whole number from 1"),
        (("--race", "1000000"), "a whole number from 1 to 1000"),
        (("--url", "localhost:8000"), "http://"),
        (("no-such-file.wav",), "no-such-file.wav"),
        ((__file__,), "not a WAV file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_sent(
    system: System, words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        play(system, *words)
    assert not system.requests
