"""Waiting for a condition instead of sleeping; looking at process groups."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

Found = TypeVar("Found")


def until(condition: Callable[[], Found], within: float, what: str = "") -> Found:
    """The first true answer of `condition`; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or condition}")
        time.sleep(0.05)
    return found


def group_members(group: int) -> set[int]:
    """The living processes of a process group."""
    return {pid for pid in psutil.pids() if _alive_in(pid, group)}


def _alive_in(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group and alive(pid)
    except ProcessLookupError:
        return False


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
