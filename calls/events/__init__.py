"""What changed, told once, after the commit.

Announcements are hints: one that is lost shows as a gap between `previous` and the version that
the reader holds, and the reader asks again.
"""

from collections.abc import Iterable

from django.db import transaction

from calls.events.announcer import GROUP, Announcer
from calls.events.rate import packets_by_minute, packets_per_second
from calls.events.updates import describe, read_calls

__all__ = [
    "GROUP",
    "alerts_changed",
    "changed",
    "describe",
    "packets_by_minute",
    "packets_per_second",
    "read_calls",
    "settle",
]

_announcer = Announcer()


def changed(calls: Iterable[int], *, packets: int = 0) -> None:
    """Announces the calls (by primary key) once the transaction under way has been committed.

    `packets` newly stored ones are counted into the rate of the whole system.
    """
    keys = list(calls)
    transaction.on_commit(lambda: _announcer.add(keys, packets))


def alerts_changed() -> None:
    """Lets those who show alerts look again once the transaction has been committed."""
    transaction.on_commit(lambda: _announcer.add(nudged=True))


def settle(*, within: float = 5.0) -> None:
    """Waits until what this process committed so far has been told, at most so many seconds."""
    _announcer.settle(within=within)
