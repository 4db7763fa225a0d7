"""The commands over many calls: what they select, say, and leave behind."""

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from calls.management import many
from calls.models import Audit, Call, Deletion, Job, Move, Packet
from calls.records.many import PAGE, ids
from tests.dashboard.outcomes import REFUSED, finish_run, transcribed_call
from tests.factories import NOW, call_in_progress, ended_call

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, settings: Any) -> Path:
    """The folder of the recordings."""
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    return tmp_path


def failed_call() -> Call:
    return finish_run(ended_call(), REFUSED)


def run(*words: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    output = StringIO()
    try:
        call_command(*words, stdout=output)
    except SystemExit as end:
        return int(end.code or 0), output.getvalue()
    return 0, output.getvalue()


def states() -> list[str]:
    return list(Call.objects.order_by("pk").values_list("state", flat=True))


def everything() -> tuple[object, ...]:
    return [*Call.objects.order_by("pk").values()], [*Job.objects.values()], Packet.objects.count()


def queued() -> set[str]:
    return set(Job.objects.open().values_list("call__call_id", flat=True))


def test_calls_of_a_state_are_queued_again() -> None:
    failed, fine = failed_call(), transcribed_call()
    code, said = run("reprocess_calls", "--state", "FAILED")
    assert (code, said) == (0, "1 queued, 0 refused\n")
    assert queued() == {failed.call_id}
    assert fine.call_id not in queued()


def test_calls_are_queued_by_agent_and_time() -> None:
    calls = [transcribed_call(now=NOW + timedelta(days=day)) for day in range(4)]
    Call.objects.exclude(pk=calls[3].pk).update(agent="Priya")
    words = ("--agent", "Priya", "--since", "2026-02-04", "--until", "2026-02-05T12:00Z")
    assert run("reprocess_calls", *words)[0] == 0
    assert queued() == {calls[1].call_id}


def test_named_calls_are_dealt_with_and_the_refused_are_told_with_why() -> None:
    fine, talking = transcribed_call(), call_in_progress()
    code, said = run("reprocess_calls", fine.call_id, talking.call_id, "unknown", fine.call_id)
    assert code == 1
    assert said == (
        "1 queued, 2 refused: cannot be run again: it has not ended yet (1);"
        " there is no call with this id (1)\n"
    )


def test_at_most_so_many_are_taken() -> None:
    for _ in range(3):
        failed_call()
    assert run("reprocess_calls", "--state=FAILED", "--limit=2")[1].startswith("2 queued")


@pytest.mark.parametrize("command", ["reprocess_calls", "archive_calls", "delete_calls"])
def test_a_rehearsal_says_exactly_what_would_happen_and_does_nothing(command: str) -> None:
    fine, talking, waiting = transcribed_call(), call_in_progress(), ended_call()
    names = [call.call_id for call in (fine, talking, waiting)]
    before = everything()
    code, said = run(command, *names, "--dry-run")
    lines = said.splitlines()
    if command == "reprocess_calls":
        assert lines[0] == f"{fine.call_id}: would be queued"
        assert lines[1].startswith(f"{talking.call_id}: would be refused: cannot be run again")
        assert lines[2] == f"{waiting.call_id}: is queued already"
    else:
        done = {"archive_calls": "archived", "delete_calls": "deleted"}[command]
        assert lines[0] == f"{fine.call_id}: would be {done} with 3 packets"
        assert lines[1].startswith(f"{talking.call_id}: would be refused: cannot be {done}")
        assert lines[2].startswith(f"{waiting.call_id}: would be refused: cannot be {done}")
    assert code == 1
    assert everything() == before
    really, _ = run(command, *names)
    assert really == code


@pytest.mark.parametrize("command", ["reprocess_calls", "archive_calls"])
def test_what_is_done_already_is_neither_done_nor_refused_nor_noted(command: str) -> None:
    call = transcribed_call()
    done = {"reprocess_calls": "queued", "archive_calls": "archived"}[command]
    assert run(command, call.call_id) == (0, f"1 {done}, 0 refused\n")
    before, noted = everything(), Audit.objects.count()
    assert run(command, call.call_id) == (0, f"0 {done}, 1 already so, 0 refused\n")
    assert run(command, call.call_id, "--dry-run") == (
        0,
        f"{call.call_id}: is {done} already\n0 would be {done}, 1 already so, 0 would be refused\n",
    )
    assert (everything(), Audit.objects.count()) == (before, noted)


@pytest.mark.parametrize(
    "words",
    [
        ["reprocess_calls"],
        ["reprocess_calls", "--limit=3"],
        ["reprocess_calls", "--dry-run"],
        ["reprocess_calls", "a-call", "--state=FAILED"],
        ["archive_calls"],
        ["archive_calls", "--limit=1"],
        ["archive_calls", "a-call", "--older-than=30d"],
        ["delete_calls"],
        ["delete_calls", "--limit=1"],
    ],
)
def test_no_selection_or_two_are_a_usage_error(words: list[str]) -> None:
    with pytest.raises(CommandError) as told:
        run(*words)
    assert told.value.returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ["reprocess_calls", "--state=LOST"],
        ["reprocess_calls", "--since=yesterday"],
        ["reprocess_calls", "--until=2026-02-31"],
        ["reprocess_calls", "--state=FAILED", "--limit=0"],
        ["archive_calls", "--older-than=30"],
        ["archive_calls", "--older-than=month"],
    ],
)
def test_what_cannot_be_read_is_refused(words: list[str]) -> None:
    with pytest.raises(CommandError):
        run(*words)


def test_old_calls_are_archived_and_again_without_harm() -> None:
    old, new = transcribed_call(now=NOW), transcribed_call(now=NOW + timedelta(days=400_000))
    code, said = run("archive_calls", "--older-than", "1d")
    assert (code, said) == (0, "1 archived, 0 refused\n")
    assert states() == ["ARCHIVED", "COMPLETED"]
    assert run("archive_calls", old.call_id) == (0, "0 archived, 1 already so, 0 refused\n")
    assert run("archive_calls", "--older-than", "1d") == (0, "0 archived, 0 refused\n")
    last = Move.objects.filter(call=old).last()
    assert last is not None
    assert last.actor.startswith("command archive_calls (")
    assert not Packet.objects.exclude(call=new).exists()


def test_old_calls_are_deleted_and_leave_receipts() -> None:
    old, new = transcribed_call(now=NOW), transcribed_call(now=NOW + timedelta(days=400_000))
    assert run("delete_calls", "--older-than", "1d") == (0, "1 deleted, 0 refused\n")
    assert Call.objects.get() == new
    receipt = Deletion.objects.get()
    assert receipt.call_id == old.call_id
    assert receipt.actor.startswith("command delete_calls (")
    noted = Audit.objects.get()
    assert (noted.verb, noted.call_id, noted.actor) == ("deleted", old.call_id, receipt.actor)
    assert run("delete_calls", old.call_id)[0] == 1


def test_a_storage_that_is_away_stops_the_command(settings: Any) -> None:
    for _ in range(2):
        transcribed_call()
    nowhere = {"BACKEND": "calls.records.storage.Nowhere"}
    settings.STORAGES = settings.STORAGES | {"recordings": nowhere}
    with pytest.raises(CommandError, match="stopped") as told:
        run("archive_calls", "--state=COMPLETED")
    assert told.value.returncode == 1
    assert states() == ["COMPLETED", "COMPLETED"]


def test_ids_come_a_page_at_a_time_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAGE > 1
    monkeypatch.setattr("calls.records.many.PAGE", 2)
    names = [call_in_progress(packets=1).call_id for _ in range(5)]
    assert list(ids(Call.objects.all())) == names
    assert list(ids(Call.objects.all(), limit=3)) == names[:3]


def test_where_nobody_sees_a_bar_lines_tell_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(many, "SAY_EVERY", 0.0)
    for _ in range(2):
        failed_call()
    run("reprocess_calls", "--state=FAILED")
    told = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"1 of 2 calls, [\d,]+/s, 0:00:0\d left", told[0])
    assert re.fullmatch(r"2 of 2 calls, [\d,]+/s, 0:00:00 left", told[1])


def test_on_a_terminal_a_bar_tells_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        failed_call()
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        assert run("reprocess_calls", "--state", "FAILED") == (0, "3 queued, 0 refused\n")
    shown = read_all(ours)
    assert "0/3 [00:00<?, ? calls/s]" in shown
    assert re.search(r"3/3 \[00:0\d<00:00, *[\d.]+ calls/s\]", shown), shown


def test_a_command_interrupted_while_it_starts_ends_without_a_traceback(tmp_path: Path) -> None:
    """As from the terminal, at the worst moment: in the midst of the imports."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "tqdm.py").write_text("raise KeyboardInterrupt")
    ended = subprocess.run(
        [sys.executable, "manage.py", "archive_calls", "--state", "FAILED"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DATA_DIR": str(tmp_path), "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (many.INTERRUPTED, "", "")


def read_all(terminal: int) -> str:
    """What was written to a terminal that has been closed on the other side."""
    told = b""
    with suppress(OSError):  # which is how its end is told
        while some := os.read(terminal, 4096):
            told += some
    os.close(terminal)
    return told.decode()
