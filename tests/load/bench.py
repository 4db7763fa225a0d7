"""Ingest beside a peer, in turn, on one machine: `make bench`.

    python -m tests.load.bench [--connections 32] [--seconds 6] [--rounds 3]
    python -m tests.load.bench --steady 200 --seconds 60 --sockets 50

Both sides get an embedded PostgreSQL of their own with its durable defaults. Prints a table of
medians and ratios; `--steady` sends so many packets a second at fixed times to the product alone
and reports the latency from the time at which each was due, while a worker transcribes calls that
end, one a second, and open sockets hear of every call.
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from callcenter import leash
from callcenter.embedded.engines import Urls, serving
from tests.ai_service import ai_service
from tests.load.client import Figures, closed_loop, connect, open_loop, post
from tests.load.ready import ready
from tests.processes import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
AUDIO = "fn5+fn5+" * 27  # 20 ms of G.711
CALLS = 200
BULK = 100  # packets a bulk request
BULK_CONNECTIONS = 4


def packets(run: str, key: str, *, calls: int = CALLS) -> Iterator[bytes]:
    """Single packets that go round the calls, each in sequence."""
    for number in itertools.count():
        sequence, call = divmod(number, calls)
        yield post(f"/v1/call/stream/{run}-{call}", _packet(sequence), key)


def bulks(run: str, key: str) -> Iterator[bytes]:
    for number in itertools.count():
        rows = [
            b'{"call_id":"%s-%d",%s' % (run.encode(), n % CALLS, _packet(n // CALLS)[1:])
            for n in range(number * BULK, (number + 1) * BULK)
        ]
        yield post("/v1/packets", b'{"packets":[%s]}' % b",".join(rows), key)


def _packet(sequence: int) -> bytes:
    body = {"sequence": sequence, "data": AUDIO, "timestamp": 1_706_745_600.123}
    return json.dumps(body).encode()


class Product(NamedTuple):
    url: str
    key: str
    environment: dict[str, str]


@contextmanager
def product(home: Path, *, worker: bool = False, **settings: str) -> Iterator["Product"]:
    """One web process on an engine of its own, with a worker on request.

    Somebody called `viewer`, who says `viewer`, may see everything.
    """
    with serving(home) as urls:
        port = free_port()
        environment = _environment(home, urls) | settings | {"PORT": str(port)}
        manage = [sys.executable, "-W", "ignore", "manage.py"]
        subprocess.run([*manage, "migrate", "-v0"], env=environment, cwd=ROOT, check=True)
        words = [
            *manage,
            "create_api_key",
            "bench",
            "--scope=ingest",
            "--scope=read",
            "--scope=manage",
        ]
        viewer = ["createsuperuser", "--noinput", "--username=viewer", "--email=viewer@localhost"]
        subprocess.run([*manage, *viewer, "-v0"], env=environment, cwd=ROOT, check=True)
        made = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, check=True)
        with ExitStack() as stack:
            if worker:
                stack.enter_context(_spawned([*manage, "worker"], environment))
            web = [sys.executable, "-m", "callcenter.web"]
            url = stack.enter_context(_running(web, environment, port))
            yield Product(url, made.stdout.decode().strip(), environment)


@contextmanager
def peer(home: Path) -> Iterator[str]:
    with serving(home) as urls:
        port = free_port()
        url = urls.database.replace("postgresql://", "postgresql+asyncpg://")
        words = [sys.executable, "-m", "uvicorn", "tests.load.peer:app", "--port", str(port)]
        words += ["--no-access-log", "--log-level", "warning"]
        with _running(words, os.environ | {"PEER_DATABASE_URL": url}, port) as address:
            yield address


def _environment(home: Path, urls: Urls) -> dict[str, str]:
    return os.environ | {
        "DATA_DIR": str(home),
        "DATABASE_URL": urls.database,
        "REDIS_URL": urls.redis,
        "SECRET_KEY": "for the benchmark alone",
        "CALL_IDLE_TIMEOUT": "3600",
        "LOG_LEVEL": "WARNING",
        "DJANGO_SUPERUSER_PASSWORD": "viewer",
    }


@contextmanager
def _running(words: list[str], environment: dict[str, str], port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with _spawned(words, environment):
        until(lambda: _answers(url), 30, f"{url} answers")
        yield url


@contextmanager
def _spawned(words: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = leash.spawn(words, cwd=ROOT, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def compare(*, connections: int, seconds: float, rounds: int) -> None:
    rows: dict[str, list[Figures]] = {"peer": [], "product": [], "product, bulk": []}
    with ExitStack() as stack:
        homes = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        other = stack.enter_context(peer(homes[0]))
        ours, key, _ = stack.enter_context(product(homes[1]))
        for _ in range(rounds):
            run = f"r{time.time_ns()}"
            load = {"connections": connections, "seconds": seconds}
            rows["peer"].append(asyncio.run(closed_loop(other, packets(run, "none"), **load)))  # type: ignore[arg-type]
            rows["product"].append(asyncio.run(closed_loop(ours, packets(run, key), **load)))  # type: ignore[arg-type]
            load["connections"] = BULK_CONNECTIONS
            many = asyncio.run(closed_loop(ours, bulks(f"{run}b", key), **load))  # type: ignore[arg-type]
            rows["product, bulk"].append(many)
    print(table(rows, connections))


def table(rows: dict[str, list[Figures]], connections: int) -> str:
    """Medians over the rounds, as Markdown."""
    lines = [
        f"| {connections} connections | packets/s | ratio | p50 ms | p95 ms | p99 ms | refused |",
        "|---|---|---|---|---|---|---|",
    ]
    base = statistics.median(figures.per_second for figures in rows["peer"])
    for name, rounds in rows.items():
        each = BULK if "bulk" in name else 1
        rate = statistics.median(figures.per_second for figures in rounds) * each
        times = [statistics.median(f.milliseconds(p) for f in rounds) for p in (50, 95, 99)]
        refused = sum(f.statuses.total() - f.statuses[202] for f in rounds)
        cells = [f"{rate:.0f}", f"{rate / base:.1f}", *(f"{t:.1f}" for t in times), str(refused)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def steady(*, rate: float, seconds: float, sockets: int, rounds: int) -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(ai_service(failure=0.25, latency=1.0))
        url, key, _ = stack.enter_context(product(home, worker=True, AI_BASE_URL=service.url))
        for _ in range(rounds):
            load = _steady(url, key, rate=rate, seconds=seconds, sockets=sockets)
            figures, heard = asyncio.run(load)
            times = ", ".join(f"p{p} {figures.milliseconds(p):.1f} ms" for p in (50, 95, 99))
            print(
                f"{rate:g} packets/s for {seconds:g} s, {sockets} sockets: {times};"
                f" {dict(figures.statuses)}; {heard} messages heard,"
                f" {service.requests} AI requests",
                flush=True,
            )


async def _steady(
    url: str, key: str, *, rate: float, seconds: float, sockets: int
) -> tuple[Figures, int]:
    run = f"s{time.time_ns()}"
    with listening(url, sockets, LISTENER_KEY=key) as listeners:
        ending = asyncio.create_task(_end_calls(url, key, run))
        figures = await open_loop(url, packets(run, key), rate=rate, seconds=seconds)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        heard, _ = listeners.communicate(timeout=20)
    return figures, json.loads(heard)["messages"]


@contextmanager
def listening(
    url: str, sockets: int, *words: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`tests.load.listeners`, once all its sockets have their snapshot."""
    command = [sys.executable, "-m", "tests.load.listeners", url, str(sockets), *words]
    with ready(command, **environment) as process:
        yield process


async def _end_calls(url: str, key: str, run: str) -> None:
    connection = await connect(url)
    for number in itertools.count():
        await connection.ask(post(f"/v1/call/stream/{run}-short-{number}", _packet(0), key))
        await connection.ask(post(f"/v1/call/{run}-short-{number}/end", b"{}", key))
        await asyncio.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steady", type=float, metavar="RATE", help="packets a second")
    parser.add_argument("--sockets", type=int, default=50, help="open ones, with --steady")
    options = parser.parse_args()
    if options.steady:
        steady(
            rate=options.steady,
            seconds=options.seconds,
            sockets=options.sockets,
            rounds=options.rounds,
        )
    else:
        compare(connections=options.connections, seconds=options.seconds, rounds=options.rounds)


if __name__ == "__main__":
    main()
