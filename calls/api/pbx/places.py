"""How many sockets may be open in a process: so many of each key, and of those without one."""

from collections import Counter

from calls.api.pbx.admission import Refused
from calls.models import ApiKey

MAX_SOCKETS = 1000  # of a key
PACKETS_PER_SECOND = 5  # of a socket


class Places:
    def __init__(self) -> None:
        self._taken: Counter[int | None] = Counter()

    def take(self, key: ApiKey | None) -> None:
        """Raises `Refused`."""
        most = MAX_SOCKETS
        if key and key.rate is not None:
            most = min(most, max(1, key.rate // PACKETS_PER_SECOND))
        if self._taken[_number(key)] >= most:
            whose = "with this key" if key else "without a key"
            raise Refused(429, f"{most} sockets are open {whose}, and no more may be")
        self._taken[_number(key)] += 1

    def leave(self, key: ApiKey | None) -> None:
        self._taken[_number(key)] -= 1


def _number(key: ApiKey | None) -> int | None:
    return key.pk if key else None
