"""Numbered chunks of one track into their order; what does not come in time is given up."""

from collections.abc import Callable
from typing import Any

WINDOW = 50  # chunks, about a second, that wait for one that is missing


class Ordering:
    """Gives each chunk once, in order, and tells how many are missing before which one."""

    def __init__(self, give: Callable[..., None], miss: Callable[..., None]) -> None:
        self._give, self._miss = give, miss
        self._next = 1
        self._early: dict[int, tuple[Any, ...]] = {}

    def take(self, chunk: int, *what: Any) -> None:
        if chunk < self._next:
            return  # a double, or one that was given up
        self._early[chunk] = what
        self._give_ready()
        if len(self._early) >= WINDOW:
            self._give_up()

    def flush(self) -> None:
        while self._early:
            self._give_up()

    def _give_ready(self) -> None:
        while self._next in self._early:
            self._give(*self._early.pop(self._next))
            self._next += 1

    def _give_up(self) -> None:
        first = min(self._early)
        self._miss(first - self._next, *self._early[first])
        self._next = first
        self._give_ready()
