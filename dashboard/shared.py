"""What many sockets of a process want at the same moment is made once for all of them."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.began = float("-inf")
        self.value: Any = None


class Shared:
    """The newest value of each key; of keys, those that were asked for last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value], *, since: float) -> Value:
        """A value whose making began at `since` (`time.monotonic`) or later."""
        entry = self._entry(key)
        with entry.lock:
            if entry.began < since:
                began = time.monotonic()
                entry.value = make()
                entry.began = began
            value: Value = entry.value
            return value

    def fresh(self, key: Hashable, *, since: float) -> Any:
        """The same without making it or waiting for it; None where there is none."""
        entry = self._entries.get(key)
        return entry.value if entry and entry.began >= since else None

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
            return entry
