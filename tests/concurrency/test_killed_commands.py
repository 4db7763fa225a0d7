"""`reprocess_calls` and `archive_calls`, killed at random moments and run again: no call is lost,
doubled or half archived. `LOAD=long`: 10,000 calls, ten kills.
"""

import hashlib
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from callcenter.embedded.engines import Urls
from calls.ai.audio import Piece, assemble_tracks
from calls.management.many import INTERRUPTED
from calls.models import Call, Job, Move, Packet, Recording, StrayFile
from calls.models.recording import Kind
from calls.records import files
from calls.records.packets_file import FIELDS, pages, read_lines
from tests.load.ended_calls import PACKETS, SEED
from tests.processes import Running, running
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

LONG = os.environ.get("LOAD") == "long"
CALLS, KILLS = (10_000, 10) if LONG else (150, 3)
DONE_WITHIN = 1800 if LONG else 60  # seconds
MOST_MEMORY = 150 * 1024 * 1024
LONGEST_TRANSACTION = 1.0  # seconds


@pytest.fixture
def calls() -> dict[int, str]:
    """A digest of the packets and the sound of each call, as the table holds them."""
    with connection.cursor() as cursor:
        cursor.execute(SEED, {"calls": CALLS, "packets": PACKETS})
    return {call.pk: _digest(*_from_table(call)) for call in Call.objects.all()}


def _from_table(call: Call) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    rows = [dict(zip(FIELDS, row, strict=True)) for page in pages(call) for row in page]
    pieces: dict[str, list[Piece]] = {"inbound": [], "outbound": []}
    for row in rows:
        pieces[row["track"]].append(Piece(row["data"], row["timestamp"]))
        row["received_at"] = row["received_at"].isoformat()
    audio = assemble_tracks(pieces, encoding=call.encoding, rate=call.sample_rate)
    return rows, {track: one.wav() for track, one in audio.items()}


def _from_storage(call: Call, folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    content = {(r.kind, r.track): (folder / r.name).read_bytes() for r in call.recordings.all()}
    lines = read_lines(content.pop((Kind.PACKETS, "")))
    return lines, {track: wav for (_, track), wav in content.items()}


def _digest(rows: list[dict[str, Any]], sound: dict[str, bytes]) -> str:
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode())
    for track in sorted(sound):
        digest.update(track.encode() + sound[track])
    return digest.hexdigest()


@dataclass(slots=True)
class Watch:
    """The most that a command held in memory, and its longest transaction."""

    memory: int = 0
    transaction: float = 0.0
    _stop: Event = field(default_factory=Event)

    @contextmanager
    def on(self, process: Running) -> Iterator[None]:
        thread = Thread(target=self._look, args=(process.process.pid,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._stop.clear()

    def _look(self, pid: int) -> None:
        with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
            while not self._stop.wait(0.05):
                try:
                    self.memory = max(self.memory, psutil.Process(pid).memory_info().rss)
                except psutil.NoSuchProcess:
                    return
                found = other.execute(
                    "SELECT extract(epoch FROM max(clock_timestamp() - xact_start))"
                    " FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                ).fetchone()
                self.transaction = max(self.transaction, float(found[0] or 0) if found else 0)


@dataclass(slots=True)
class Killer:
    urls: Urls
    home: Path
    watch: Watch = field(default_factory=Watch)

    def run(self, *words: str, done: Callable[[], int], check: Callable[[], None]) -> None:
        """The command, killed whenever it has done another share, at last until its end."""
        command = [sys.executable, "manage.py", *words]
        surroundings = {"DATA_DIR": str(self.home)}
        for kill in range(KILLS):
            enough = CALLS / 3 + CALLS / 2 * (kill + random.random()) / KILLS
            with running(command, urls=self.urls, home=self.home, **surroundings) as process:
                with self.watch.on(process):
                    until(lambda e=enough: done() > e, DONE_WITHIN, process.said())  # type: ignore[misc]
                    time.sleep(random.random() / 50)
                    process.process.kill()
                    process.process.wait(timeout=10)
                check()
        with (
            running(command, urls=self.urls, home=self.home, **surroundings) as process,
            self.watch.on(process),
        ):
            assert process.process.wait(timeout=DONE_WITHIN) == 0, process.said()

    def interrupt(self, *words: str, done: Callable[[], int]) -> str:
        """The command, interrupted in the midst of its work; what it said at last."""
        command = [sys.executable, "manage.py", *words]
        surroundings = {"DATA_DIR": str(self.home)}
        with running(command, urls=self.urls, home=self.home, **surroundings) as process:
            until(lambda: done() > 0, DONE_WITHIN, process.said())
            process.process.send_signal(signal.SIGINT)
            assert process.process.wait(timeout=20) == INTERRUPTED
        return process.said().splitlines()[-1]

    def assert_modest(self) -> None:
        print(f"{self.watch.memory / 2**20:.0f} MB, {self.watch.transaction:.3f} s a transaction")
        assert self.watch.memory <= MOST_MEMORY
        assert self.watch.transaction <= LONGEST_TRANSACTION


@pytest.fixture
def killer(engines: Urls, tmp_path: Path) -> Killer:
    return Killer(engines, tmp_path)


def test_calls_reprocessed_by_a_killed_command_have_one_run_each(
    calls: dict[int, str], killer: Killer
) -> None:
    def check() -> None:
        queued = {job.call_id for job in Job.objects.open()}
        pending = {call.pk for call in Call.objects.filter(ai_outcome="pending")}
        assert queued == pending
        assert Job.objects.count() == len(queued)

    said = killer.interrupt("reprocess_calls", "--state", "COMPLETED", done=Job.objects.count)
    [counted] = re.findall(r"^interrupted; ([\d,]+) queued, 0 refused$", said)
    # One more where the interruption came between its commit and its being counted.
    assert Job.objects.count() - int(counted.replace(",", "")) in (0, 1)
    check()
    killer.run("reprocess_calls", "--state", "COMPLETED", done=Job.objects.count, check=check)
    check()
    assert Job.objects.filter(run=1, origin="reprocess").count() == CALLS == len(calls)
    killer.assert_modest()


def test_a_rehearsal_is_silent_once_its_reader_has_seen_enough(
    calls: dict[int, str], killer: Killer
) -> None:
    rehearse = f"{sys.executable} manage.py archive_calls --state COMPLETED --dry-run"
    shell = ["sh", "-c", f"{rehearse} | head -1"]
    with running(shell, urls=killer.urls, home=killer.home, DATA_DIR=str(killer.home)) as process:
        assert process.process.wait(timeout=DONE_WITHIN) == 0
    assert process.said().splitlines() == [f"call-1: would be archived with {PACKETS} packets"]


def test_calls_archived_by_a_killed_command_are_whole_and_byte_for_byte(
    calls: dict[int, str], killer: Killer, settings: Any
) -> None:
    folder = killer.home / "recordings"
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": {"location": folder}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    archived = Call.objects.filter(state="ARCHIVED")

    def check() -> None:
        """A call has its packets, or its files: never both, never a part."""
        has_files = set(Call.objects.exclude(recordings=None).values_list("pk", flat=True))
        assert has_files == set(archived.values_list("pk", flat=True))
        assert Packet.objects.count() == (CALLS - len(has_files)) * PACKETS
        assert not Packet.objects.filter(call__in=has_files).exists()

    said = killer.interrupt("archive_calls", "--state", "COMPLETED", done=archived.count)
    assert said.startswith("interrupted; ")
    check()
    killer.run("archive_calls", "--state", "COMPLETED", done=archived.count, check=check)
    check()
    assert archived.count() == CALLS
    assert Move.objects.filter(to_state="ARCHIVED").count() == CALLS
    for call in archived.iterator():
        assert _digest(*_from_storage(call, folder)) == calls[call.pk]
    while files.remove_strays(now=timezone.now() + timedelta(days=1)):
        pass
    assert not StrayFile.objects.exists()
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert kept == set(Recording.objects.values_list("name", flat=True))
    killer.assert_modest()
