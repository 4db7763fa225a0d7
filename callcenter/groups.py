"""The living processes of a process group."""

import os

import psutil


def members(group: int) -> set[int]:
    return {pid for pid in psutil.pids() if _belongs(pid, group) and alive(pid)}


def _belongs(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except (ProcessLookupError, PermissionError):
        return False


def alive(pid: int) -> bool:
    """Whether it runs; what only waits for its parent to notice its end does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
