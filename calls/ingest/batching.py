"""Group commit: requests that wait together are stored in one transaction.

One thread a process owns the connection and stores whatever waits; each request hears of its own
packets after the commit. While one batch is committed the next one gathers, so that a batch grows
with the load and nobody waits for a timer.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django.db import DatabaseError, connection
from django.utils import timezone

from calls import tracing
from calls.away import AWAY
from calls.ingest.numbering import Given
from calls.ingest.store import Receipt, store

log = logging.getLogger(__name__)

Result = TypeVar("Result")

BATCH = 1000  # packets a transaction
MAX_WAITING = 20_000  # packets
MAX_WAITING_SIZE = 64 * 1024 * 1024  # characters of their data
PATIENCE = 0.9  # seconds that a request waits at most


class Busy(Exception):
    """The store cannot take it now: the database is away or slow, or too much waits already."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A request: packets to store, or other work for the thread that owns the connection."""

    future: asyncio.Future[Any]
    arrivals: Sequence[Given] = ()
    work: Callable[[], Any] | None = None
    size: int = 0
    span: Any = None

    @property
    def abandoned(self) -> bool:
        return self.future.done()


class Writer:
    """The queue in front of the store, bounded, and the thread that empties it.

    `turn` is taken for each batch, where others are to go before it.
    """

    def __init__(self, turn: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._turn = turn
        self._queue: deque[_Waiter] = deque()
        self._packets = 0
        self._size = 0
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._began: float | None = None

    @property
    def busy_s(self) -> float:
        """Seconds since the batch under way was taken; 0 while none is."""
        began = self._began
        return time.monotonic() - began if began is not None else 0.0

    async def store(
        self, arrivals: Sequence[Given], *, patience: float | None = None
    ) -> list[Receipt]:
        """Stores packets and answers after their commit. Raises `Busy`, after `patience` seconds.

        After `Busy` some may be stored all the same: the sender sends again and is told of doubles.
        """
        size = sum(len(arrival.data) for arrival in arrivals)
        future = asyncio.get_running_loop().create_future()
        waiter = _Waiter(future, arrivals, size=size, span=tracing.here())
        return cast(list[Receipt], await self._wait(waiter, patience))

    async def run(self, work: Callable[[], Result], *, patience: float | None = None) -> Result:
        """Runs a short query on the thread's connection. Raises `Busy`."""
        future = asyncio.get_running_loop().create_future()
        return cast(Result, await self._wait(_Waiter(future, work=work), patience))

    async def _wait(self, waiter: _Waiter, patience: float | None) -> Any:
        patience = PATIENCE if patience is None else patience
        with self._ready:
            if self._packets >= MAX_WAITING or self._size >= MAX_WAITING_SIZE:
                raise Busy(f"{self._packets} packets wait already")
            self._queue.append(waiter)
            self._packets += len(waiter.arrivals)
            self._size += waiter.size
            self._start()
            self._ready.notify()
        expiry = waiter.future.get_loop().call_later(patience, _expire, waiter.future, patience)
        try:
            return await waiter.future
        finally:
            expiry.cancel()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._began = None
            batch = self._take()
            self._began = time.monotonic()
            with self._turn():
                outcomes = [(waiter, _attempt(waiter.work)) for waiter in batch if waiter.work]
                outcomes += _store([waiter for waiter in batch if not waiter.work])
            _answer(outcomes)

    def _take(self) -> list[_Waiter]:
        """Waits for work; what nobody waits for any more is dropped unseen."""
        batch: list[_Waiter] = []
        packets = 0
        with self._ready:
            self._ready.wait_for(lambda: self._queue)
            while self._queue and packets < BATCH:
                waiter = self._queue.popleft()
                self._packets -= len(waiter.arrivals)
                self._size -= waiter.size
                if not waiter.abandoned:
                    batch.append(waiter)
                    packets += len(waiter.arrivals)
        return batch


def _expire(future: asyncio.Future[Any], patience: float) -> None:
    if not future.done():
        future.set_exception(Busy(f"the database did not answer within {patience} s"))


def _attempt(work: Callable[[], Any]) -> Any:
    """What the work returns, or why it failed; once more where the connection was lost."""
    try:
        try:
            return work()
        except AWAY:
            connection.close()
            return work()
    except AWAY as error:
        connection.close()
        return Busy(f"the database is away: {str(error).splitlines()[0]}")
    except Exception as error:
        return error


def _store(waiters: Sequence[_Waiter]) -> list[tuple[_Waiter, Any]]:
    """One transaction for all; where the database refuses it, one each, so that one harms none."""
    if not waiters:
        return []
    arrivals = [arrival for waiter in waiters for arrival in waiter.arrivals]
    spans, count = [waiter.span for waiter in waiters], {"packets": len(arrivals)}
    with tracing.span("commit packets", links=spans, attributes=count):
        outcome = _attempt(lambda: store(arrivals, now=timezone.now()))
    if isinstance(outcome, DatabaseError) and len(waiters) > 1:
        log.warning("a batch was refused, storing each of %d alone: %s", len(waiters), outcome)
        return [pair for waiter in waiters for pair in _store([waiter])]
    if isinstance(outcome, Exception):
        return [(waiter, outcome) for waiter in waiters]
    receipts = iter(outcome)
    return [(waiter, [next(receipts) for _ in waiter.arrivals]) for waiter in waiters]


def _answer(outcomes: Sequence[tuple[_Waiter, Any]]) -> None:
    """Wakes each event loop once, however many of its requests are answered."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Waiter, Any]]] = {}
    for waiter, outcome in outcomes:
        loops.setdefault(waiter.future.get_loop(), []).append((waiter, outcome))
    for loop, theirs in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, theirs)


def _resolve(outcomes: Sequence[tuple[_Waiter, Any]]) -> None:
    for waiter, outcome in outcomes:
        if waiter.future.done():
            continue
        if isinstance(outcome, Exception):
            waiter.future.set_exception(outcome)
        else:
            waiter.future.set_result(outcome)


writer = Writer()
