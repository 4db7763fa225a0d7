"""The worker's event loop: claims what is due and keeps many requests in flight at once."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from django.conf import settings
from django.utils import timezone

from calls.ai import runs
from calls.ai.claims import Claim, LostClaim, claim_due, renew
from calls.ai.transcription import Service
from calls.ai.work import Database, Tools, work_on
from calls.models import Job

LOOK_EVERY = 0.5  # seconds between looks for what became due meanwhile
RENEW_EVERY = 10.0  # seconds; a third of the lease
STOP_WITHIN = 8.0  # seconds that requests in flight get when the worker is stopped


def drive() -> None:
    """Works until nothing is due and nothing is in flight.

    One driver at a time in a `worker`, so that `AI_CONCURRENCY` bounds it; whoever comes while
    one drives leaves again, for the driver looks once more after it has given up the slot.
    """
    while _work_waits() and not _stopping():
        with _slot() as ours:
            if not ours:
                return
            asyncio.run(Driver().run())


def _work_waits() -> bool:
    return Job.objects.due(now=timezone.now()).exists()


def _stopping() -> bool:
    stop = os.environ.get("CALLCENTER_WORKER_STOP")
    return bool(stop) and Path(str(stop)).exists()


@contextmanager
def _slot() -> Iterator[bool]:
    """Whether this process got the worker's one slot; given up with the process at the latest."""
    path = os.environ.get("CALLCENTER_WORKER_SLOT")
    if not path:
        yield True
        return
    with open(path, "a") as slot:
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


class Driver:
    """One life of the loop, within one event loop."""

    def __init__(self) -> None:
        self._width = settings.AI_CONCURRENCY
        self._working: dict[asyncio.Task[None], Claim] = {}
        self._database = Database()
        self._tools = Tools(
            database=self._database,
            requests=asyncio.Semaphore(self._width),
            client=httpx.AsyncClient(
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=self._width),
                trust_env=False,
            ),
            service=Service(
                url=settings.AI_BASE_URL,
                key=settings.AI_API_KEY,
                model=settings.AI_MODEL,
                timeout=settings.AI_TIMEOUT,
            ),
        )

    async def run(self) -> None:
        renewal = asyncio.create_task(self._renew())
        try:
            async with self._tools.client:
                await self._loop()
        finally:
            renewal.cancel()
            self._database.close()

    async def _loop(self) -> None:
        while not _stopping():
            room = self._width - len(self._working)
            claims = await self._claim(room) if room else []
            for claim in claims:
                task = asyncio.create_task(work_on(claim, self._tools))
                self._working[task] = claim
                task.add_done_callback(self._working.pop)
            if not self._working:
                return
            await asyncio.wait(
                self._working, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED
            )
        await self._stop()

    async def _claim(self, room: int) -> list[Claim]:
        worker = os.environ.get("CALLCENTER_WORKER", "")
        return await self._database(claim_due, room, worker=worker, now=timezone.now())

    async def _stop(self) -> None:
        """Requests in flight get a moment to end; the rest is handed back."""
        if not self._working:
            return
        _, late = await asyncio.wait(self._working, timeout=STOP_WITHIN)
        claims = [self._working[task] for task in late]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for claim in claims:
            with suppress(LostClaim):
                await self._database(runs.hand_back, claim, now=timezone.now())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            await self._database(renew, list(self._working.values()), now=timezone.now())
