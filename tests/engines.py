"""A pytest plugin: a DATA_DIR of its own for every run, set before Django reads its settings.

Loaded by `-p tests.engines`, for a conftest comes after pytest-django. The engines themselves
start with the first test that wants them (`tests/conftest.py`), on the leash of this process.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

from callcenter import locks

PREFIX = "callcenter-tests-"
# A directory younger than this may belong to a run that has not locked it yet.
SETTLED = 60


def pytest_addoption() -> None:
    """The first hook there is; no option is added."""
    if "DATABASE_URL" in os.environ:
        os.environ.setdefault("SECRET_KEY", "for tests alone")
    os.environ["DATA_DIR"] = str(_fresh_dir())


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["DATA_DIR"], ignore_errors=True)


def pytest_report_header() -> str:
    return f"data: {os.environ['DATA_DIR']}"


def _fresh_dir() -> Path:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_if_left(path)
    fresh = Path(tempfile.mkdtemp(prefix=PREFIX))
    locks.take(fresh)
    return fresh


def _remove_if_left(path: Path) -> None:
    """A killed run could not remove its own."""
    try:
        settled = time.time() - path.stat().st_ctime > SETTLED
        held = locks.take(path) if settled else None
    except OSError:
        return
    if held is not None:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)
