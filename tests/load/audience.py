"""Many who look on while packets come: `python -m tests.load.audience`.

    [--sockets 100] [--rate 500] [--calls 100] [--seconds 20] [--rounds 3] [--deaf 10]

One web process on engines of its own, packets at fixed times. For programs (`/ws/supervisor`) and
for pages (`/ws/board`), a line has how long after its acknowledgement a packet was counted on each
socket, how many messages a socket got within any second, and the latencies of ingest with and
without them. Then the most that ingest takes with and without sockets, in turn, as packets a second
and as seconds of the web process's processor a packet: reading the sockets takes from the same
cores. Last, what the web process grows by in a minute beside readers that never read.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.load.bench import listening, packets, product
from tests.load.client import Figures, closed_loop, open_loop

DEAF_FOR = 60.0  # seconds


@dataclass
class Acknowledged:
    """When each packet of a call was, in order."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, body: bytes) -> None:
        if body:
            self.times[json.loads(body)["call_id"]].append(time.time())


@dataclass(frozen=True)
class Load:
    url: str
    key: str
    calls: int
    rate: float
    seconds: float

    @property
    def web(self) -> psutil.Process:
        port = int(self.url.rpartition(":")[2])
        found = psutil.net_connections("tcp")
        return psutil.Process(
            next(c.pid for c in found if c.laddr and c.laddr.port == port and c.status == "LISTEN")
        )

    def packets(self) -> Iterator[bytes]:
        return packets(f"a{time.time_ns()}", self.key, calls=self.calls)

    def send(self, acknowledged: Acknowledged, *, seconds: float | None = None) -> Figures:
        return asyncio.run(
            open_loop(
                self.url,
                self.packets(),
                rate=self.rate,
                seconds=seconds or self.seconds,
                answered=acknowledged.note,
            )
        )

    def most(self) -> tuple[float, float]:
        """Packets a second, and processor seconds a packet, of clients who wait for answers."""
        before = self._processor_seconds()
        figures = asyncio.run(
            closed_loop(self.url, self.packets(), connections=32, seconds=self.seconds)
        )
        used = self._processor_seconds() - before
        return figures.per_second, used / figures.statuses[202]

    def _processor_seconds(self) -> float:
        times = self.web.cpu_times()
        return float(times.user + times.system)


def heard(load: Load, sockets: int, viewer: dict[str, str]) -> str:
    alone = load.send(Acknowledged())
    acknowledged = Acknowledged()
    with listening(load.url, sockets, **viewer) as listeners:
        beside = load.send(acknowledged)
        told = _report(listeners, acknowledged)
    delays = ", ".join(f"{p} {1000 * told[f'delay_{p}']:.0f} ms" for p in ("p50", "p95", "max"))
    return (
        f"{told['changes']} changes counted after {delays};"
        f" at most {told['most_in_a_second']} messages a second;"
        f" ingest {_latencies(alone)} alone, {_latencies(beside)} beside"
    )


def _latencies(figures: Figures) -> str:
    times = "/".join(f"{figures.milliseconds(p):.1f}" for p in (50, 95, 99))
    return f"p50/p95/p99 {times} ms {dict(figures.statuses)}"


def _report(listeners: "subprocess.Popen[bytes]", acknowledged: Acknowledged) -> dict[str, float]:
    said, _ = listeners.communicate(b"\n" + json.dumps(acknowledged.times).encode(), timeout=120)
    report: dict[str, float] = json.loads(said)
    return report


def loss(load: Load, sockets: int, viewer: dict[str, str], rounds: int) -> str:
    """Of what ingest takes at most, with sockets against without, in turn."""
    rates: list[float] = []
    costs: list[float] = []
    for _ in range(rounds):
        rate, cost = load.most()
        with listening(load.url, sockets, **viewer):
            rate_beside, cost_beside = load.most()
        rates.append(rate_beside / rate)
        costs.append(cost_beside / cost)
    return (
        f"ingest at most {statistics.median(rates):.2f} of the packets a second"
        f" ({', '.join(f'{r:.2f}' for r in rates)}),"
        f" {statistics.median(costs):.2f} times the processor a packet"
    )


def growth(load: Load, deaf: int, viewer: dict[str, str]) -> str:
    """Of the web process, from a warm one on."""
    load.send(Acknowledged(), seconds=5)
    before = load.web.memory_info().rss
    with listening(load.url, deaf, "--deaf", **viewer):
        figures = load.send(Acknowledged(), seconds=DEAF_FOR)
        grown = load.web.memory_info().rss - before
    return f"{grown / 1e6:.1f} MB more after {DEAF_FOR:g} s; ingest {_latencies(figures)}"


def log_in(url: str) -> str:
    """The session of somebody who may see everything."""
    with httpx.Client(base_url=url, trust_env=False, headers={"referer": url}) as browser:
        page = browser.get("/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token
        browser.post(
            page.url.path,
            data={"username": "viewer", "password": "viewer", "csrfmiddlewaretoken": token[1]},
        )
        return browser.cookies["sessionid"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=100)
    parser.add_argument("--rate", type=float, default=500, help="packets a second")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deaf", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, product(Path(home)) as (url, key, _):
        load = Load(url, key, options.calls, options.rate, options.seconds)
        viewers = {
            "programs": {"LISTENER_KEY": key},
            "pages": {"LISTENER_SESSION": log_in(url)},
        }
        for name, viewer in viewers.items():
            for _ in range(options.rounds):
                print(
                    f"{options.sockets} {name}: {heard(load, options.sockets, viewer)}", flush=True
                )
            print(
                f"{options.sockets} {name}: {loss(load, options.sockets, viewer, options.rounds)}",
                flush=True,
            )
            if options.deaf:
                print(
                    f"{options.deaf} deaf {name}: {growth(load, options.deaf, viewer)}", flush=True
                )


if __name__ == "__main__":
    main()
