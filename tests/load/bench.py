"""Ingest beside a peer, in turn, on one machine: `make bench`.

    python -m tests.load.bench [--connections 32] [--seconds 6] [--rounds 3]
    python -m tests.load.bench --steady 200 --seconds 60

Both sides get an embedded PostgreSQL of their own with its durable defaults. Prints a table of
medians and ratios; `--steady` sends so many packets a second at fixed times to the product alone
and reports the latency from the time at which each was due.
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

import httpx

from callcenter import leash
from callcenter.embedded.engines import Urls, serving
from tests.load.client import Figures, closed_loop, open_loop, post
from tests.processes import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
AUDIO = "fn5+fn5+" * 27  # 20 ms of G.711
CALLS = 200
BULK = 100  # packets a bulk request
BULK_CONNECTIONS = 4


def packets(run: str, key: str) -> Iterator[bytes]:
    """Single packets that go round the calls, each in sequence."""
    for number in itertools.count():
        sequence, call = divmod(number, CALLS)
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


@contextmanager
def product(home: Path) -> Iterator[tuple[str, str]]:
    """One web process on an engine of its own; its address and a key."""
    with serving(home) as urls:
        port = free_port()
        environment = _environment(home, urls) | {"PORT": str(port)}
        manage = [sys.executable, "-W", "ignore", "manage.py"]
        subprocess.run([*manage, "migrate", "-v0"], env=environment, cwd=ROOT, check=True)
        words = [*manage, "create_api_key", "bench", "--scope", "ingest"]
        made = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, check=True)
        with _running([sys.executable, "-m", "callcenter.web"], environment, port) as url:
            yield url, made.stdout.decode().strip()


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
    }


@contextmanager
def _running(words: list[str], environment: dict[str, str], port: int) -> Iterator[str]:
    process = leash.spawn(words, cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url), 30, f"{url} answers")
        yield url
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
        ours, key = stack.enter_context(product(homes[1]))
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


def steady(*, rate: float, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as home, product(Path(home)) as (url, key):
        run = f"s{time.time_ns()}"
        figures = asyncio.run(open_loop(url, packets(run, key), rate=rate, seconds=seconds))
    times = ", ".join(f"p{p} {figures.milliseconds(p):.1f} ms" for p in (50, 95, 99))
    print(f"{rate:g} packets/s for {seconds:g} s: {times}; {dict(figures.statuses)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steady", type=float, metavar="RATE", help="packets a second")
    options = parser.parse_args()
    if options.steady:
        steady(rate=options.steady, seconds=options.seconds)
    else:
        compare(connections=options.connections, seconds=options.seconds, rounds=options.rounds)


if __name__ == "__main__":
    main()
