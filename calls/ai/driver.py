"""The worker's event loop: claims what is due and keeps many requests in flight at once."""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from calls import tracing
from calls.ai import breaker, runs
from calls.ai.audio import Audio
from calls.ai.claims import Claim, LostClaim, claim_due, renew
from calls.ai.together import Together
from calls.ai.transcription import Client, RequestFailed, Service
from calls.ai.turns import Turns
from calls.ai.work import Tools, work_on
from calls.models import Job
from calls.models.job import FAULTS

log = logging.getLogger(__name__)

LOOK_EVERY = 0.1  # seconds between looks for what became due meanwhile
LINGER = 2.0  # seconds without work; longer than wake-ups that are taken for one are apart
RENEW_EVERY = 10.0  # seconds; a third of the lease
STOP_WITHIN = 8.0  # seconds that requests in flight get when the worker is stopped
READERS = 2  # threads; a long call is read beside the short ones

CLIP = Audio(np.zeros(8000, np.int16), 8000)
"""What a probe asks about: a second of silence, of no call."""


def drive() -> None:
    """Works until nothing is due and nothing is in flight.

    One driver at a time in a `worker`, so that `AI_CONCURRENCY` bounds it; whoever comes while
    one drives leaves again, for the driver looks once more after it has given up the slot.
    """
    while work_waits(now=timezone.now()) and not _stopping():
        with _slot() as ours:
            if not ours:
                return
            asyncio.run(Driver().run())
            tracing.flush()


def work_waits(*, now: datetime) -> bool:
    """Jobs are due, or the breaker is open and wants its probes."""
    return Job.objects.due(now=now).exists() or breaker.state().is_open


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


@dataclass(frozen=True, slots=True)
class _Look:
    """What a driver wants to know of the database."""

    room: int
    kept_for_others: int
    may_probe: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    breaker_is_open: bool
    probe: bool
    claims: list[Claim]


def _look(wishes: Sequence[_Look], *, now: datetime) -> list[_Seen]:
    """Claims what is due; while the breaker is open nothing but a probe, if it is our turn."""
    [wish] = wishes
    worker = os.environ.get("CALLCENTER_WORKER", "")
    if breaker.state().is_open:
        return [_Seen(True, wish.may_probe and breaker.take_probe(now=now), [])]
    kept = min(wish.kept_for_others, wish.room)
    claims = claim_due(wish.room, worker=worker, now=now, kept_for_others=kept)
    return [_Seen(False, False, claims)]


def _renew(claims: Sequence[Claim], *, now: datetime) -> list[None]:
    renew(claims, now=now)
    return [None for _ in claims]


def _note_answer(moments: Sequence[datetime], *, now: datetime) -> list[None]:
    breaker.note_answer(now=now)
    return [None for _ in moments]


def _note_silence(probes: Sequence[tuple[str, datetime]], *, now: datetime) -> list[None]:
    for words, began in probes:
        breaker.note_silence(words, began=began, now=now)
    return [None for _ in probes]


class Driver:
    """One life of the loop, within one event loop."""

    def __init__(self) -> None:
        self._width = settings.AI_CONCURRENCY
        self._turns = Turns()
        self._working: dict[asyncio.Task[None], Claim] = {}
        self._probes: set[asyncio.Task[None]] = set()
        self._tools = Tools(
            ledger=Together(threads=1, name="ledger"),
            reader=Together(threads=READERS, name="reader"),
            requests=asyncio.Semaphore(self._width),
            client=Client(
                Service(
                    url=settings.AI_BASE_URL,
                    key=settings.AI_API_KEY,
                    model=settings.AI_MODEL,
                    timeout=settings.AI_TIMEOUT,
                ),
                width=self._width,
            ),
        )

    async def run(self) -> None:
        renewal = asyncio.create_task(self._renew())
        try:
            async with self._tools.client:
                await self._loop()
                await self._stop()
        finally:
            renewal.cancel()
            self._tools.ledger.close()
            self._tools.reader.close()

    async def _loop(self) -> None:
        active = time.monotonic()
        while not _stopping() and time.monotonic() - active < LINGER:
            await self._look()
            if self._working or self._tools.breaker_is_open:
                active = time.monotonic()
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self) -> None:
        room = self._width - len(self._working)
        wish = _Look(room, self._turns.kept_for_others(room), not self._tools.requests.locked())
        try:
            seen: _Seen = await self._tools.ledger(_look, wish)
        except (DatabaseError, InterfaceError) as error:
            log.warning("cannot look for work: %s", str(error).strip())
            return
        self._tools.breaker_is_open = seen.breaker_is_open
        self._turns.note([claim.priority for claim in seen.claims])
        for claim in seen.claims:
            task = asyncio.create_task(work_on(claim, self._tools))
            self._working[task] = claim
            task.add_done_callback(self._working.pop)
        if seen.probe:
            probe = asyncio.create_task(self._probe())
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    async def _probe(self) -> None:
        """Asks the service about a clip of our own; any answer of its own is a sign of life."""
        began = timezone.now()
        async with self._tools.requests:
            try:
                await self._tools.client.transcribe(CLIP)
            except RequestFailed as failure:
                if failure.kind in FAULTS:
                    answer = failure.status or "no answer"
                    log.warning("the AI service is away: %s (%s)", failure.kind, answer)
                    await self._tools.ledger(_note_silence, (failure.words, began))
                    return
        await self._tools.ledger(_note_answer, began)
        log.info("the AI service answers")

    async def _stop(self) -> None:
        """Requests in flight get a moment to end; the rest is handed back."""
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        if not self._working:
            return
        _, late = await asyncio.wait(self._working, timeout=STOP_WITHIN)
        claims = [self._working[task] for task in late]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        back = (self._tools.ledger(runs.hand_back, claim) for claim in claims)
        for lost in await asyncio.gather(*back, return_exceptions=True):
            if isinstance(lost, Exception) and not isinstance(lost, LostClaim):
                log.error("a job could not be handed back: %s", lost)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            renewals = (self._tools.ledger(_renew, claim) for claim in self._working.values())
            await asyncio.gather(*renewals, return_exceptions=True)
