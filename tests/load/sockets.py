"""Many Asterisk calls at once into one web process: are they stored, and what do they cost?

    python -m tests.load.sockets [--calls 200] [--seconds 60] [--rounds 3] [--http-rate 100]
    python -m tests.load.sockets --find-limit [--calls 200] [--step 50] [--seconds 15]

Packets are posted over HTTP at a fixed rate at the same time, and before and after without the
calls, in rounds, for no machine is equally fast all the time. `--find-limit` raises the number of
calls until a frame is late (told more than a second after it was sent), lost, or not taken by its
socket at once; it stops too where the generator itself is late, and says so.
"""

import argparse
import asyncio
import base64
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from callcenter.embedded import database_url
from tests.load.bench import packets, product
from tests.load.client import Figures, open_loop
from tests.load.phones import Heard, numbers_in, phones
from tests.load.usage import Usage, used_by
from tests.load.watcher import Seen, watching
from tests.waiting import until

PER_PACKET = 10  # frames
WEB, PHONES, POSTGRES = "callcenter.web", "tests.load.phones", "postgres"
LATE = 1.0  # seconds
BEHIND = 0.06  # seconds by which the generator may be late itself
SETTLED_WITHIN = 30.0  # seconds from the last frame
READ = """
SELECT data, extract(epoch FROM received_at)::float8 FROM calls_packet AS packet
JOIN calls_call AS call ON call.id = packet.call_id WHERE call.call_id = %s ORDER BY sequence
"""
ENDED = "SELECT count(*) FROM calls_call WHERE call_id LIKE %s AND state <> 'IN_PROGRESS'"


@dataclass
class Outcome:
    """Of one run; times in seconds, each from the sending of a packet's last frame."""

    calls: int
    sent: int
    stored: int
    lost: int
    doubled: int
    disordered: int
    stored_after: Sequence[float]
    told_after: Sequence[float]
    heard: Heard
    usage: Usage = field(default_factory=Usage)

    @property
    def trouble(self) -> str:
        """Why the server did not keep up, or "" if it did."""
        faults = {
            "frames lost": self.lost,
            "frames doubled": self.doubled,
            "calls out of order": self.disordered,
            "packets told late": sum(after > LATE for after in self.told_after),
            "bytes held back": self.heard.most_held_back,
            "upgrades refused": len(self.heard.refused),
            "calls not answered": self.calls - self.heard.answered,
            "sockets closed": self.heard.dialled - self.calls,
        }
        return ", ".join(f"{number:,} {name}" for name, number in faults.items() if number)

    @property
    def megabytes(self) -> float:
        """The most that the web process held."""
        return self.usage.megabytes.get(WEB, 0.0)

    def lines(self) -> Iterator[str]:
        gaps = self.heard.gaps()
        yield (
            f"{self.calls} calls: {self.sent:,} frames sent, {self.stored:,} stored,"
            f" {self.lost} lost, {self.doubled} doubled; {self.trouble or 'no trouble'}"
        )
        yield (
            f"  frames sent every {_ms(gaps, 50)} ms (p99 {_ms(gaps, 99)}), at most"
            f" {self.heard.late * 1000:.0f} ms late; longest upgrade"
            f" {self.heard.longest_upgrade * 1000:.0f} ms"
        )
        for name, times in (("stored", self.stored_after), ("told", self.told_after)):
            most = max(times, default=0.0) * 1000
            usual = f"p50 {_ms(times, 50)} ms, p95 {_ms(times, 95)} ms"
            yield f"  packets {name} after {usual}, max {most:.0f} ms"
        cores = ", ".join(f"{name} {used:.2f}" for name, used in self.usage.cores.items())
        yield f"  web process {self.megabytes:.0f} MB at most; cores: {cores}"


def _ms(seconds: Sequence[float], percentile: int) -> str:
    if len(seconds) < 2:
        return "-"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"{cuts[percentile - 1] * 1000:.0f}"


def carry(
    url: str, key: str, database: str, *, calls: int, seconds: float, http_rate: float = 0.0
) -> tuple[Outcome, Figures]:
    """So many calls at once for so long, with HTTP packets beside them; all that came of it."""
    run = f"sock{time.time_ns()}"
    figures = Figures()
    with watching(url, key) as watcher:
        with (
            phones(url, key, calls=calls, seconds=seconds, run=run) as lines,
            used_by(WEB, PHONES, POSTGRES) as usage,
        ):
            lines.begin()
            if http_rate:
                figures = http(url, key, rate=http_rate, seconds=seconds)
            heard = lines.heard(seconds + 60)
        with psycopg.connect(database, autocommit=True) as connection:
            settle(connection, run, calls)
            outcome = compare(connection, heard, watcher.seen())
    outcome.usage = usage
    return outcome, figures


def http(url: str, key: str, *, rate: float, seconds: float) -> Figures:
    run = f"http{time.time_ns()}"
    return asyncio.run(open_loop(url, packets(run, key), rate=rate, seconds=seconds))


def settle(connection: psycopg.Connection, run: str, calls: int) -> None:
    """Until all calls have ended, so that nothing is still on its way."""

    def ended() -> bool:
        row = connection.execute(ENDED, [f"{run}-%"]).fetchone()
        return row is not None and row[0] == calls

    until(ended, SETTLED_WITHIN, "all calls to have ended")


def compare(connection: psycopg.Connection, heard: Heard, seen: Seen) -> Outcome:
    """What the phones sent beside what is stored and what was told."""
    wall = time.time() - time.monotonic()
    count = max(len(times) for times in heard.sent)
    found = Outcome(len(heard.calls), 0, 0, 0, 0, 0, [], [], heard)
    stored_after: list[float] = []
    told_after: list[float] = []
    for call, call_id in enumerate(heard.calls):
        rows = connection.execute(READ, [call_id]).fetchall()
        numbers = [numbers_in(base64.b64decode(data)) for data, _ in rows]
        stored = list(itertools.chain.from_iterable(numbers))
        sent = set(range(count)) - set(heard.unheard.get(call_id, []))
        found.sent += len(sent)
        found.stored += len(stored)
        found.lost += len(sent - set(stored))
        found.doubled += len(stored) - len(set(stored))
        found.disordered += stored != sorted(stored)
        lasts = [heard.sent_at(call, packet[-1]) for packet in numbers]
        stored_after += [at - wall - sent_at for (_, at), sent_at in zip(rows, lasts, strict=True)]
        told_after += _told_after(lasts, seen.get(call_id, []))
    found.stored_after, found.told_after = stored_after, told_after
    return found


def _told_after(lasts: Sequence[float], told: Sequence[tuple[int, float]]) -> Iterator[float]:
    """From each packet's last frame to the first news that counts it."""
    news = iter(told)
    count, at = next(news, (0, float("inf")))
    for place, sent_at in enumerate(lasts, 1):
        while count < place and at != float("inf"):
            count, at = next(news, (0, float("inf")))
        yield at - sent_at


@contextmanager
def system() -> Iterator[tuple[str, str, str]]:
    """A web process on an engine of its own: address, key, database."""
    with (
        tempfile.TemporaryDirectory() as home,
        product(Path(home), LOG_LEVEL="WARNING") as (url, key, *_),
    ):
        yield url, key, database_url(Path(home))


@dataclass
class Round:
    """The calls, and HTTP before them, beside them and after them."""

    outcome: Outcome
    before: Figures
    beside: Figures
    after: Figures

    @property
    def ratio(self) -> float:
        """How many times as long the slowest of HTTP took beside the calls, at p95."""
        alone = (self.before.milliseconds(95) + self.after.milliseconds(95)) / 2
        return self.beside.milliseconds(95) / alone

    def lines(self) -> Iterator[str]:
        yield from self.outcome.lines()
        for name in ("before", "beside", "after"):
            figures: Figures = getattr(self, name)
            times = ", ".join(f"p{p} {figures.milliseconds(p):.1f}" for p in (50, 95, 99))
            yield f"  HTTP {name}: {times} ms; {dict(figures.statuses)}"


@dataclass
class Measured:
    rounds: list[Round]

    @property
    def ratio(self) -> float:
        return statistics.median(one.ratio for one in self.rounds)

    def lines(self) -> Iterator[str]:
        for one in self.rounds:
            yield from one.lines()
        each = ", ".join(f"{one.ratio:.2f}" for one in self.rounds)
        yield f"HTTP p95 beside the calls: {self.ratio:.2f} times that alone (median of {each})"


def measure(*, calls: int, seconds: float, rounds: int, http_rate: float) -> Measured:
    alone = min(seconds, 15)
    measured = Measured([])
    with system() as (url, key, database):
        before = http(url, key, rate=http_rate, seconds=alone)
        for _ in range(rounds):
            outcome, beside = carry(
                url, key, database, calls=calls, seconds=seconds, http_rate=http_rate
            )
            after = http(url, key, rate=http_rate, seconds=alone)
            measured.rounds.append(Round(outcome, before, beside, after))
            before = after
    return measured


def find_limit(*, calls: int, step: int, seconds: float) -> None:
    with system() as (url, key, database):
        while True:
            outcome, _ = carry(url, key, database, calls=calls, seconds=seconds)
            print("\n".join(outcome.lines()), flush=True)
            if outcome.trouble:
                print(f"{calls - step} calls are carried, {calls} are not: {outcome.trouble}")
                return
            if outcome.heard.late > BEHIND:
                print(f"the generator itself is late at {calls} calls: the limit was not found")
                return
            calls += step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--http-rate", type=float, default=100.0, help="packets a second")
    parser.add_argument("--find-limit", action="store_true")
    parser.add_argument("--step", type=int, default=50, help="calls more each time")
    options = parser.parse_args()
    if options.find_limit:
        find_limit(calls=options.calls, step=options.step, seconds=options.seconds or 15.0)
    else:
        seconds = options.seconds or 60.0
        measured = measure(
            calls=options.calls,
            seconds=seconds,
            rounds=options.rounds,
            http_rate=options.http_rate,
        )
        print("\n".join(measured.lines()))


if __name__ == "__main__":
    main()
