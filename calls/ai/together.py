"""Steps of many calls, done together: what waits at a moment is one transaction."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from django.db import connections
from django.utils import timezone

from calls.away import AWAY

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Step = Callable[..., Sequence[Any]]

MOST = 100  # items a transaction
GATHER = 0.03  # seconds that the first waits for others; a transaction of one costs as much
PATIENCE = 60.0  # seconds that a step is tried again while the database is away
PAUSE = 0.5  # seconds between such tries


@dataclass(slots=True)
class _Waiter:
    step: Step
    item: Any
    future: asyncio.Future[Any]


class Together:
    """A few threads that use the ORM, each with a connection of its own.

    A step takes a sequence of items and `now`, and answers with as many results; one that is an
    exception is raised for its item alone.
    """

    def __init__(self, *, threads: int, name: str) -> None:
        self._queue: SimpleQueue[_Waiter | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def __call__(
        self, step: Callable[..., Sequence[Result | Exception]], item: object
    ) -> Result:
        future = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiter(step, item, future))
        return cast(Result, await future)

    def close(self) -> None:
        """Ends the threads, each with its connection, once all that waits is done."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while waiters := self._take():
            for step, some in _by_step(waiters):
                _answer(some, _results(step, [waiter.item for waiter in some]))
        connections.close_all()

    def _take(self) -> list[_Waiter]:
        """What waits now; nothing once the threads are to end."""
        first = self._queue.get()
        waiters = [first] if first else []
        time.sleep(GATHER)
        while waiters and len(waiters) < MOST:
            try:
                another = self._queue.get_nowait()
            except Empty:
                break
            if another is None:
                self._queue.put(None)  # for the next look
                break
            waiters.append(another)
        return waiters


def _by_step(waiters: Iterable[_Waiter]) -> list[tuple[Step, list[_Waiter]]]:
    groups: dict[Step, list[_Waiter]] = {}
    for waiter in waiters:
        groups.setdefault(waiter.step, []).append(waiter)
    return list(groups.items())


def _results(step: Step, items: list[Any]) -> Sequence[Any]:
    """All at once; where that fails, one by one, so that one call harms no other."""
    try:
        return _persist(step, items)
    except Exception as error:
        if len(items) == 1:
            return [error]
        log.warning("%s of %d calls failed, trying each: %s", step.__name__, len(items), error)
        return [result for item in items for result in _results(step, [item])]


def _persist(step: Step, items: list[Any]) -> Sequence[Any]:
    """Tries again while the database is away: what an AI service said is not to be lost."""
    began, complained = time.monotonic(), False
    while True:
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()
        try:
            return step(items, now=timezone.now())
        except AWAY as error:
            connections.close_all()
            if time.monotonic() - began > PATIENCE:
                raise
            if not complained:
                log.warning("the database is away, trying again: %s", str(error).strip())
            complained = True
            time.sleep(PAUSE)


def _answer(waiters: Sequence[_Waiter], results: Sequence[Any]) -> None:
    pairs = list(zip(waiters, results, strict=True))
    loop = waiters[0].future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Iterable[tuple[_Waiter, Any]]) -> None:
    for waiter, result in pairs:
        if waiter.future.done():
            continue
        if isinstance(result, Exception):
            waiter.future.set_exception(result)
        else:
            waiter.future.set_result(result)
