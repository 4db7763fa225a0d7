"""Tells the sockets of all processes what changed; merged, so that a call is announced once in a
round of `PAUSE` seconds, however many packets it gets.

A round goes out in slices, spread over its time: told in one go, some hundred calls would hold up
the packets that come meanwhile.
"""

import asyncio
import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import redis
from channels.layers import get_channel_layer
from django.db import DatabaseError, connection
from django.utils import timezone
from pydantic_core import to_json

from calls.away import AWAY
from calls.courtesy import turn
from calls.events.rate import count_packets
from calls.events.redis_store import TIMEOUT, connect
from calls.events.updates import Known, describe, read_calls

log = logging.getLogger(__name__)

News = dict[str, str]

GROUP = "calls"
PAUSE = 0.27  # seconds; what sockets may send in a second is their own affair
SLICES = 10  # a round, of at least `SLICE` calls each and at most `MESSAGE`
SLICE = 25
MESSAGE = 100  # calls, or a slice more: receiving one takes longer than what is in it
SPREAD = 0.2  # seconds of a round in which its slices begin
VERSIONS_KEPT = 24 * 3600  # seconds
CONNECTION_KEPT = 2.0  # seconds without a change

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
        self._began_at = 0.0
        self._thread: threading.Thread | None = None

    def add(self, calls: Sequence[int] = (), packets: int = 0, *, nudged: bool = False) -> None:
        if self._process != os.getpid():
            self._reset()  # a forked child inherits the object, not its thread
        with self._wake:
            was_due = self._due()
            self._waiting.update(dict.fromkeys(calls))
            self._packets += packets
            self._nudged |= nudged
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                self._thread.start()
            if not was_due:
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
        store = connect()
        versions = store.register_script(ANNOUNCED)
        while not self._closing or self._due():
            if not self._comes(within=CONNECTION_KEPT):
                connection.close()
            waiting, packets, nudged = self._collect()
            try:
                count_packets(store, packets)
                if nudged:
                    loop.run_until_complete(_send({"type": "calls.changed", "calls": []}))
                for news in self._go_round(waiting, partial(_news, versions)):
                    loop.run_until_complete(_send({"type": "calls.changed", "calls": news}))
            except (redis.RedisError, OSError, DatabaseError) as error:
                log.warning("%d changes were not announced: %s", len(waiting), error)
            except Exception:
                # The thread must live: readers would wait for ever for what nobody tells.
                log.exception("%d changes were not announced", len(waiting))
            finally:
                self._told()
        connection.close()

    def _due(self) -> bool:
        return self._nudged or bool(self._waiting)

    def _comes(self, *, within: float | None = None) -> bool:
        """Waits for work; whether there is some within so many seconds."""
        with self._wake:
            return self._wake.wait_for(lambda: self._due() or self._closing, timeout=within)

    def _collect(self) -> tuple[list[int], int, bool]:
        """Waits for changes, and for the pause since the last round began."""
        with self._wake:
            self._comes()
            self._rest(until=self._began_at + PAUSE)
            self._began_at = time.monotonic()
            waiting, packets, nudged = list(self._waiting), self._packets, self._nudged
            self._waiting.clear()
            self._packets, self._nudged = 0, False
            self._telling = True
            return waiting, packets, nudged

    def _go_round(
        self, calls: Sequence[int], read: Callable[[Sequence[int]], list[News]]
    ) -> Iterator[list[News]]:
        """The messages of a round, each when it is time."""
        slices, news = list(_slices(calls)), list[News]()
        for number, some in enumerate(slices):
            self._rest(until=self._began_at + number * SPREAD / len(slices))
            with turn():
                news += read(some)
            if len(news) > MESSAGE - SLICE:
                yield news
                news = []
        if news:
            yield news

    def _rest(self, *, until: float) -> None:
        """Unless somebody waits for all to be told."""
        with self._wake:
            pause = until - time.monotonic()
            self._wake.wait_for(lambda: self._closing or self._hurried, timeout=max(pause, 0))

    def _told(self) -> None:
        with self._wake:
            self._telling = False
            self._wake.notify_all()


def _slices(calls: Sequence[int]) -> Iterator[Sequence[int]]:
    size = min(max(SLICE, math.ceil(len(calls) / SLICES)), MESSAGE)
    for start in range(0, len(calls), size):
        yield calls[start : start + size]


def _news(versions: Any, calls: Sequence[int]) -> list[News]:
    """The calls as they are now, as far as nobody announced their version yet."""
    known = _read(calls)
    before = versions(
        keys=[f"announced:{call.pk}" for call in known],
        args=[VERSIONS_KEPT, *(call.version for call in known)],
    )
    now = timezone.now()
    return [
        {
            "call_id": call.call_id,
            "agent": call.agent,
            "queue": call.queue,
            # Written out once here, not once for each socket that sends it.
            "update": to_json(describe(call, previous=previous, now=now)).decode(),
        }
        for call, previous in zip(known, before, strict=True)
        if previous != -1
    ]


def _read(calls: Sequence[int]) -> list[Known]:
    """Once more where the connection was lost since the last change."""
    try:
        return read_calls(calls)
    except AWAY:
        connection.close()
        return read_calls(calls)


async def _send(message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    for last in (False, True):
        try:
            async with asyncio.timeout(TIMEOUT):
                await layer.group_send(GROUP, message)
                return
        except (redis.RedisError, OSError):
            if last:
                raise
