"""One holder at a time, and no lock outlives its process."""

import os
import subprocess
import sys
from pathlib import Path

from callcenter import locks

TAKES_AND_WAITS = """
import pathlib, sys, time
from callcenter import locks
locks.take(pathlib.Path(sys.argv[1]))
print("taken", flush=True)
time.sleep(60)
"""


def test_a_lock_has_one_holder_until_it_is_let_go(tmp_path: Path) -> None:
    held = locks.take(tmp_path / "lock")
    assert held is not None
    assert locks.take(tmp_path / "lock") is None
    os.close(held)
    assert locks.take(tmp_path / "lock") is not None


def test_sigkill_lets_go_of_a_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKES_AND_WAITS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"taken\n"
        assert locks.take(tmp_path) is None
        holder.kill()
    assert locks.take(tmp_path, patience=5) is not None
