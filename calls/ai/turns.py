"""Whose turn it is. Pure.

Calls that just ended go before those that are run again, but every eighth place is kept for
the others, so that neither waits for ever.
"""

from collections.abc import Collection

from calls.models.job import Priority

SHARE = 8


class Turns:
    def __init__(self) -> None:
        self._since = 0

    def kept_for_others(self, room: int) -> int:
        """How many of so many free places."""
        return (self._since + room) // SHARE

    def note(self, priorities: Collection[int]) -> None:
        """Which places were taken; what was kept for nobody is not owed later."""
        others = sum(priority != Priority.FRESH for priority in priorities)
        self._since = min(max(self._since + len(priorities) - SHARE * others, 0), SHARE)
