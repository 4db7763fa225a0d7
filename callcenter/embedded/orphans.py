"""An engine whose wrapper was killed runs on: it is ended before another starts on its files."""

import signal
from pathlib import Path

import psutil

PATIENCE = 10


def end_orphan(pidfile: Path, sign: str, stop: signal.Signals) -> None:
    """End the process in `pidfile`, if it runs and `sign` stands in its command line."""
    try:
        process = psutil.Process(int(pidfile.read_text().split()[0]))
        ours = any(sign in word for word in process.cmdline())
    except (OSError, ValueError, IndexError, psutil.Error):
        return
    if ours:
        _end(process, stop)


def _end(process: psutil.Process, stop: signal.Signals) -> None:
    try:
        process.send_signal(stop)
        process.wait(PATIENCE)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
    except psutil.NoSuchProcess:
        return
