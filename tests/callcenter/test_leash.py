"""No process outlives the one that started it, however that one ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callcenter import leash
from callcenter.groups import members
from tests.waiting import until

LEASH = [sys.executable, "-m", "callcenter.leash"]
LEAVES_A_NOTE = """
import pathlib, signal, sys, time
def note(number, frame):
    pathlib.Path(sys.argv[1], "note").write_text(signal.Signals(number).name)
    sys.exit(3)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, note)
pathlib.Path(sys.argv[1], "ready").touch()
while True:  # a signal just before a sleep is heard after it
    time.sleep(0.05)
"""
STUBBORN_CHILD = """
import pathlib, signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
child = subprocess.Popen([sys.executable, "-c", child + "; time.sleep(60)"], stdout=-1)
child.stdout.readline()
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(60)
"""
POOL = """
import multiprocessing, pathlib, sys
def think(answer):
    answer.put(6 * 7)
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    context.Process(target=think, args=(answer,)).start()
    pathlib.Path(sys.argv[1], "ready").write_text(str(answer.get(timeout=20)))
"""
PARENT = """
import pathlib, sys, time
from callcenter import leash
pathlib.Path(sys.argv[1], "group").touch()
child = leash.spawn(sys.argv[2:])
pathlib.Path(sys.argv[1], "group").write_text(str(child.pid))
time.sleep(60)
"""


def script(home: Path, text: str) -> list[str]:
    path = home / "program.py"
    path.write_text(text)
    return [str(path), str(home)]


def ready(home: Path) -> bool:
    return (home / "ready").exists()


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_sigkill_of_the_parent_ends_the_child(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    child = [*LEASH, *script(tmp_path, LEAVES_A_NOTE)]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), *child])
    started.append(parent)
    until(lambda: ready(tmp_path), 10)
    group = int(until((tmp_path / "group").read_text, 5))
    assert members(group)

    parent.kill()

    until(lambda: not members(group), 4, "the child is gone")
    assert (tmp_path / "note").read_text() == "SIGTERM"


def test_whoever_of_the_group_does_not_end_politely_is_killed(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    child = leash.spawn([*LEASH, *script(tmp_path, STUBBORN_CHILD)])
    started.append(child)
    until(lambda: ready(tmp_path), 10)
    assert len(members(child.pid)) == 2

    child.communicate(timeout=4)

    until(lambda: not members(child.pid), leash.BOUND + 3, "the stubborn one is gone")


def test_a_quick_leash_kills_at_once(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    child = leash.spawn([*LEASH, "--quick", *script(tmp_path, STUBBORN_CHILD)])
    started.append(child)
    until(lambda: ready(tmp_path), 10)

    child.communicate(timeout=2)

    assert child.returncode == -signal.SIGKILL
    until(lambda: not members(child.pid), 2, "the whole group is gone")


def test_a_module_may_spawn_processes_that_import_it_again(tmp_path: Path) -> None:
    script(tmp_path, POOL)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    child = leash.spawn([*LEASH, "-m", "program", str(tmp_path)], env=environment)
    assert child.wait(20) == 0
    assert (tmp_path / "ready").read_text() == "42"


def test_without_a_pipe_on_stdin_nobody_holds_the_leash(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    command = [*LEASH, *script(tmp_path, LEAVES_A_NOTE)]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    started.append(child)
    until(lambda: ready(tmp_path), 10)
    assert child.poll() is None


WRAPPER = """
import signal, sys
from callcenter import leash
sys.exit(leash.wrap(sys.argv[1:], stop=signal.SIGINT))
"""


@pytest.fixture
def wrapped(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    foreign = [sys.executable, *script(tmp_path, LEAVES_A_NOTE)]
    wrapper = leash.spawn([sys.executable, "-c", WRAPPER, *foreign])
    started.append(wrapper)
    until(lambda: ready(tmp_path), 10)
    return wrapper


def test_a_wrapped_program_is_stopped_by_the_signal_it_understands(
    tmp_path: Path, wrapped: subprocess.Popen[bytes]
) -> None:
    wrapped.terminate()
    assert wrapped.wait(5) == 3
    assert (tmp_path / "note").read_text() == "SIGINT"


def test_a_wrapped_program_ends_with_the_leash(
    tmp_path: Path, wrapped: subprocess.Popen[bytes]
) -> None:
    wrapped.communicate(timeout=5)
    assert wrapped.returncode == 3
    assert (tmp_path / "note").read_text() == "SIGINT"


def test_a_wrapper_that_is_asked_until_it_is_gone_returns_the_exit_code(
    wrapped: subprocess.Popen[bytes],
) -> None:
    deadline = time.monotonic() + 10
    while wrapped.poll() is None and time.monotonic() < deadline:
        wrapped.send_signal(signal.SIGINT)
    assert wrapped.returncode == 3
