"""Ingest beside the commands that work on many calls: `python -m tests.load.beside_commands`.

    [--calls 10000] [--rate 100] [--rounds 3]

One web process on engines of its own, filled with calls that are over. In each round the p95 of
ingest alone, then while `reprocess_calls` and `archive_calls` go through their share of the calls;
at last the medians of the ratios.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from tests.load.bench import ROOT, Product, packets, product
from tests.load.client import Figures, open_loop
from tests.load.ended_calls import PACKETS, SEED

ALONE = 10.0  # seconds
COMMANDS = ("reprocess_calls", "archive_calls")


def ingest(system: Product, *, rate: float, seconds: float) -> Figures:
    run = f"b{time.time_ns()}"
    load = open_loop(system.url, packets(run, system.key, calls=100), rate=rate, seconds=seconds)
    return asyncio.run(load)


def beside(system: Product, words: Sequence[str], *, rate: float) -> Figures:
    """While the command lasts, and a second longer at most."""
    figures = Figures()
    command = [sys.executable, "-W", "ignore", "manage.py", *words]
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=system.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            part = ingest(system, rate=rate, seconds=1)
            figures.latencies += part.latencies
            figures.statuses += part.statuses
        assert process.stdout
        said = process.stdout.read().splitlines()[-1]
    print(f"  {words[0]}: {time.perf_counter() - began:.0f} s, {said}", flush=True)
    return figures


def seed(system: Product, calls: int) -> None:
    address = system.environment["DATABASE_URL"]
    with psycopg.connect(address, cursor_factory=psycopg.ClientCursor) as database:
        database.execute(SEED, {"calls": calls, "packets": PACKETS})
        database.execute("ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=100, help="packets a second")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home, product(Path(home)) as system:
        seed(system, options.calls)
        share = options.calls // len(COMMANDS) // options.rounds
        for turn, name in enumerate(COMMANDS * options.rounds):
            theirs = [f"call-{turn * share + n}" for n in range(1, share + 1)]
            alone = ingest(system, rate=options.rate, seconds=ALONE)
            during = beside(system, [name, *theirs], rate=options.rate)
            times = [figures.milliseconds(95) for figures in (alone, during)]
            ratios[name].append(times[1] / times[0])
            print(
                f"  p95 {times[0]:.1f} ms alone, {times[1]:.1f} ms beside it"
                f" {dict(during.statuses)}",
                flush=True,
            )
    for name, found in ratios.items():
        print(f"{name}: {statistics.median(found):.2f} times the p95 of ingest alone")


if __name__ == "__main__":
    main()
