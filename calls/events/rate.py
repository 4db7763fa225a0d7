"""How many packets all processes store, by the second and by the minute."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import redis

from calls.events.redis_store import connect

SECONDS_KEPT = 60  # seconds
MINUTES_KEPT = 2 * 3600  # seconds


def count_packets(store: Any, packets: int) -> None:
    if packets:
        second = int(time.time())
        pipeline = store.pipeline()
        for key, kept in (
            (f"packets:{second}", SECONDS_KEPT),
            (f"packets:minute:{second // 60}", MINUTES_KEPT),
        ):
            pipeline.incrby(key, packets).expire(key, kept)
        pipeline.execute()


def packets_per_second(*, now: datetime) -> float | None:
    """Over the last ten whole seconds and all processes; None while Redis is away."""
    last = int(now.timestamp()) - 1
    keys = [f"packets:{second}" for second in range(last - 9, last + 1)]
    try:
        counts = connect().mget(keys)
    except redis.RedisError:
        return None
    return sum(int(n or 0) for n in counts) / len(counts)


def packets_by_minute(minutes: Iterable[int]) -> list[int | None]:
    """Of each minute since the epoch, up to two hours ago: None where the Redis of today was not
    there to count; nothing while it is away.
    """
    asked = list(minutes)
    try:
        store = connect()
        counts = store.mget([f"packets:minute:{minute}" for minute in asked])
        began = time.time() - store.info("server")["uptime_in_seconds"]
    except redis.RedisError:
        return []
    unknown = [60 * (minute + 1) < began for minute in asked]
    return [int(n) if n else None if lost else 0 for n, lost in zip(counts, unknown, strict=True)]
