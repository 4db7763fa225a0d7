"""When a failed request is made again. Pure."""

from collections.abc import Callable

MAX_RETRY_AFTER = 300.0  # seconds; what a service may ask for at most


def delay(
    failures: int,
    *,
    max_retries: int,
    retry_after: float | None,
    random: Callable[[], float],
) -> float | None:
    """Seconds from the `failures`-th transient failure of a track to its next attempt.

    2, 4, 8, 16, 32 … plus 0-1 s of jitter, or what `Retry-After` says where that is longer.
    None when the retries are exhausted. `random` draws from [0, 1).
    """
    if failures > max_retries:
        return None
    return max(2.0**failures + random(), min(retry_after or 0.0, MAX_RETRY_AFTER))


def throttled(retry_after: float | None, *, random: Callable[[], float]) -> float:
    """Seconds to wait when the service is too busy (429); spends no retry."""
    return min(retry_after or 2.0, MAX_RETRY_AFTER) + random()


def misconfigured(*, random: Callable[[], float]) -> float:
    """Seconds to wait while key or address are refused; nothing but a person mends that."""
    return 15.0 + random()
