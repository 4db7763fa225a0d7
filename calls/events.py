"""What changed, told once, after the commit; merged, so that no call is announced more often
than every `PAUSE` seconds, however many packets it gets.

Announcements are hints: one that is lost shows as a gap between `previous` and the version that
the reader holds, and the reader asks again.
"""

import asyncio
import atexit
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import redis
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from calls.models import Call

log = logging.getLogger(__name__)

GROUP = "calls"
PAUSE = 0.27  # seconds: at most four messages a second, also where one comes late
BATCH = 200  # calls a message
SEND_TIMEOUT = 0.3  # seconds; a frozen Redis must not hold anybody up
VERSIONS_KEPT = 24 * 3600  # seconds
RATE_KEPT = 60  # seconds
MINUTES_KEPT = 2 * 3600  # seconds

TOLD = (
    "call_id",
    "agent",
    "queue",
    "state",
    "version",
    "packet_count",
    "last_sequence",
    "has_packet_zero",
    "late",
    "ai_outcome",
    "attempts",
    "next_attempt_at",
    "last_error",
    "has_ai_result",
    "result__transcript",
    "result__sentiment",
)

# KEYS: the calls; ARGV: seconds they are kept, then their versions. Answers for each the version
# announced before, or -1 where this one or a newer one was announced already.
ANNOUNCED = """
local told = {}
for i, key in ipairs(KEYS) do
  local before = tonumber(redis.call('GET', key) or '0')
  if before < tonumber(ARGV[i + 1]) then
    redis.call('SET', key, ARGV[i + 1], 'EX', ARGV[1])
    told[i] = before
  else
    told[i] = -1
  end
end
return told
"""


def changed(calls: Iterable[int], *, packets: int = 0) -> None:
    """Announces the calls (by primary key) once the transaction under way has been committed.

    `packets` newly stored ones are counted into the rate of the whole system.
    """
    keys = list(calls)
    transaction.on_commit(lambda: _announcer.add(keys, packets))


def alerts_changed() -> None:
    """Lets those who show alerts look again once the transaction has been committed."""
    transaction.on_commit(lambda: _announcer.add(nudged=True))


def packets_per_second(*, now: datetime) -> float | None:
    """Over the last ten whole seconds and all processes; None while Redis is away."""
    last = int(now.timestamp()) - 1
    counts = _counted(f"packets:{second}" for second in range(last - 9, last + 1))
    return sum(counts) / len(counts) if counts else None


def packets_by_minute(minutes: Iterable[int]) -> list[int | None]:
    """Of each minute since the epoch, up to two hours ago: None where the Redis of today was not
    there to count; nothing while it is away.
    """
    asked = list(minutes)
    try:
        store = _connect()
        counts = store.mget([f"packets:minute:{minute}" for minute in asked])
        began = time.time() - store.info("server")["uptime_in_seconds"]
    except redis.RedisError:
        return []
    unknown = [60 * (minute + 1) < began for minute in asked]
    return [int(n) if n else None if lost else 0 for n, lost in zip(counts, unknown, strict=True)]


def _counted(keys: Iterable[str]) -> list[int]:
    try:
        return [int(count or 0) for count in _connect().mget(list(keys))]
    except redis.RedisError:
        return []


def settle(*, within: float = 5.0) -> None:
    """Waits until what this process committed so far has been told, at most so many seconds."""
    _announcer.settle(within=within)


def describe(call: Call, *, now: datetime) -> dict[str, Any]:
    """The whole state of a call as the sockets tell it, without `previous`."""
    result = call.result if call.has_ai_result else None
    return {
        "type": "call_update",
        "call_id": call.call_id,
        "state": call.state,
        "timestamp": _iso(now),
        "version": call.version,
        "packet_count": call.packet_count,
        "last_sequence": call.last_sequence,
        "missing": call.missing,
        "late": call.late,
        "ai": {
            "outcome": call.ai_outcome,
            "attempts": call.attempts,
            "next_attempt_at": _iso(call.next_attempt_at),
            "last_error": call.last_error or None,
        },
        "ai_result": result and {"transcript": result.transcript, "sentiment": result.sentiment},
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _connect() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS, socket_timeout=SEND_TIMEOUT, socket_connect_timeout=SEND_TIMEOUT
    )


class Announcer:
    """A thread that collects changed calls and tells the group about them every `PAUSE`."""

    def __init__(self) -> None:
        self._reset()
        atexit.register(self.close)

    def _reset(self) -> None:
        self._process = os.getpid()
        self._waiting: dict[int, None] = {}
        self._packets = 0
        self._nudged = False
        self._wake = threading.Condition()
        self._closing = self._telling = self._hurried = False
        self._told_at = 0.0
        self._thread: threading.Thread | None = None

    def add(self, calls: Sequence[int] = (), packets: int = 0, *, nudged: bool = False) -> None:
        if self._process != os.getpid():
            self._reset()  # a forked child inherits the object, not its thread
        with self._wake:
            self._waiting.update(dict.fromkeys(calls))
            self._packets += packets
            self._nudged |= nudged
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def settle(self, *, within: float) -> None:
        """Tells what was committed so far without a pause; waits for it up to so many seconds."""
        if self._process == os.getpid():
            with self._wake:
                self._hurried = True
                self._wake.notify_all()
                self._wake.wait_for(lambda: not (self._due() or self._telling), timeout=within)
                self._hurried = False

    def close(self) -> None:
        """Tells what is still waiting, so that a short command does not end unheard."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self.settle(within=2)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        store = _connect()
        versions = store.register_script(ANNOUNCED)
        while not self._closing or self._due():
            waiting, packets, nudged = self._collect()
            try:
                _count(store, packets)
                if nudged:
                    loop.run_until_complete(_send({"type": "calls.changed", "calls": []}))
                for start in range(0, len(waiting), BATCH):
                    _tell(loop, versions, waiting[start : start + BATCH])
            except (redis.RedisError, OSError, DatabaseError) as error:
                log.warning("%d changes were not announced: %s", len(waiting), error)
            except Exception:
                # The thread must live: readers would wait for ever for what nobody tells.
                log.exception("%d changes were not announced", len(waiting))
            finally:
                connection.close()
                self._told()

    def _due(self) -> bool:
        return self._nudged or bool(self._waiting)

    def _collect(self) -> tuple[list[int], int, bool]:
        """Waits for changes, and for the pause since the last ones."""
        with self._wake:
            self._wake.wait_for(lambda: self._due() or self._closing)
            pause = self._told_at + PAUSE - time.monotonic()
            self._wake.wait_for(lambda: self._closing or self._hurried, timeout=max(pause, 0))
            waiting, packets, nudged = list(self._waiting), self._packets, self._nudged
            self._waiting.clear()
            self._packets, self._nudged = 0, False
            self._telling = True
            return waiting, packets, nudged

    def _told(self) -> None:
        with self._wake:
            self._telling = False
            self._told_at = time.monotonic()
            self._wake.notify_all()


def _count(store: Any, packets: int) -> None:
    if packets:
        second = int(time.time())
        pipeline = store.pipeline()
        for key, kept in (
            (f"packets:{second}", RATE_KEPT),
            (f"packets:minute:{second // 60}", MINUTES_KEPT),
        ):
            pipeline.incrby(key, packets).expire(key, kept)
        pipeline.execute()


def _tell(loop: asyncio.AbstractEventLoop, versions: Any, batch: Sequence[int]) -> None:
    """Loads the calls as they are now and sends those whose version nobody announced yet."""
    now = timezone.now()
    calls = list(Call.objects.filter(pk__in=batch).select_related("result").only(*TOLD))
    before = versions(
        keys=[f"announced:{call.pk}" for call in calls],
        args=[VERSIONS_KEPT, *(call.version for call in calls)],
    )
    news = [
        {
            "call_id": call.call_id,
            "agent": call.agent,
            "queue": call.queue,
            # Written out once here, not once for each socket that sends it.
            "update": json.dumps(describe(call, now=now) | {"previous": previous}),
        }
        for call, previous in zip(calls, before, strict=True)
        if previous != -1
    ]
    if news:
        message = {"type": "calls.changed", "calls": news}
        loop.run_until_complete(_send(message))


async def _send(message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    for last in (False, True):
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await layer.group_send(GROUP, message)
                return
        except (redis.RedisError, OSError):
            if last:
                raise


_announcer = Announcer()
