"""Locks that no crash leaves behind: the kernel lets go of them when their process ends."""

import fcntl
import os
import time
from pathlib import Path


def take(path: Path, patience: float = 0) -> int | None:
    """Lock the file or directory for as long as this process lives; None when another holds it.

    `patience`: seconds to wait for it. Closing the returned descriptor lets go earlier.
    """
    deadline = time.monotonic() + patience
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    while not _locked(descriptor):
        if time.monotonic() >= deadline:
            os.close(descriptor)
            return None
        time.sleep(0.1)
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
