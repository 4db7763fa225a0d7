"""An engine whose wrapper was killed runs on: it is ended before another starts on its files."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil

from callcenter import locks
from callcenter.embedded import redis_socket

# An engine that is just being stopped needs a moment to let go of its files.
PATIENCE = 15


def claim(engine: str, data_dir: Path) -> int:
    """Lock the engine's files for this process, with no engine running on them; the lock."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = locks.take(data_dir / f"{engine}.lock", PATIENCE)
    if lock is None:
        sys.exit(f"{engine} runs on {data_dir} already: stop it, or choose another DATA_DIR.")
    if engine == "postgres":
        pgdata = data_dir / "postgres"
        _end(pgdata / "postmaster.pid", str(pgdata), signal.SIGINT)
    else:
        _end(data_dir / "redis" / "redis.pid", str(redis_socket(data_dir)), signal.SIGTERM)
    return lock


def clear(engine: str, data_dir: Path) -> None:
    """Whoever answers at the engine's address after this is the engine started next."""
    os.close(claim(engine, data_dir))


def _end(pidfile: Path, sign: str, stop: signal.Signals) -> None:
    """End the process in `pidfile`, if it runs and `sign` stands in its command line."""
    try:
        process = psutil.Process(int(pidfile.read_text().split()[0]))
        if any(sign in word for word in process.cmdline()):
            _stop(process, stop)
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return


def _stop(process: psutil.Process, stop: signal.Signals) -> None:
    process.send_signal(stop)
    deadline = time.monotonic() + PATIENCE
    # Not wait(): an orphan's new parent may take its time to notice that it ended.
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.05)
