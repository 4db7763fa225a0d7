"""What is done for one claimed call: its tracks side by side, then the outcome."""

import asyncio
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Barrier
from typing import ParamSpec, TypeVar

import httpx
from django.conf import settings
from django.db import connections
from django.utils import timezone

from calls.ai import retry, runs
from calls.ai.attempts import Progress
from calls.ai.claims import Claim, LostClaim
from calls.ai.runs import Recording
from calls.ai.transcription import RequestFailed, Service, transcribe
from calls.models.job import Verdict

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

DATABASE_THREADS = 4


class Database:
    """Runs functions that use the ORM in a few threads, each with a connection of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")

    async def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        def call() -> R:
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()
            return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Ends the threads, each with its connection; they wait for each other to get one task."""
        together = Barrier(DATABASE_THREADS)

        def leave() -> None:
            together.wait()
            connections.close_all()

        for _ in range(DATABASE_THREADS):
            self._threads.submit(leave)
        self._threads.shutdown(wait=True)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all work of one driver shares; `requests` bounds those in flight."""

    database: Database
    requests: asyncio.Semaphore
    client: httpx.AsyncClient
    service: Service


async def work_on(claim: Claim, tools: Tools) -> None:
    """Takes the call as far as it can be taken now. Never raises but for cancellation."""
    database = tools.database
    try:
        await database(runs.begin, claim, now=timezone.now())
        recording = await database(runs.read, claim)
        tracks = await database(runs.track_progress, claim, recording)
        work = _Work(claim, recording, tools)
        await asyncio.gather(*(work.on_track(name, tracks[name]) for name in tracks))
        await database(runs.conclude, claim, recording, now=timezone.now())
    except LostClaim as error:
        log.warning("%s", error)
    except Exception:
        # The lease runs out and the sweep takes the job back; other calls go on.
        log.exception("job %d stopped short", claim.job)


class _Work:
    def __init__(self, claim: Claim, recording: Recording, tools: Tools) -> None:
        self._claim, self._recording, self._tools = claim, recording, tools
        self._asking = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def on_track(self, track: str, progress: Progress) -> None:
        """Asks about a track until it is answered, given up, or has to wait for its next try."""
        failures, next_try_at = progress.failures, progress.next_try_at
        finished = bool(progress.answer or progress.fault)
        while not finished and await self._time_comes(next_try_at):
            failure, wait_until = await self._ask(track, failures + 1)
            failures += failure is not None and failure.kind == Verdict.TRANSIENT
            finished, next_try_at = wait_until is None, wait_until

    async def _time_comes(self, moment: datetime | None) -> bool:
        """Waits only as long as the other track keeps the claim busy anyway."""
        seconds = (moment - timezone.now()).total_seconds() if moment else 0.0
        if seconds <= 0:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            return True
        return False

    async def _ask(self, track: str, nth: int) -> tuple[RequestFailed | None, datetime | None]:
        """One request and its row in the ledger; the failure, if any, and when to try again."""
        async with self._tools.requests:
            self._begin_asking()
            try:
                return await self._request(track, nth)
            finally:
                self._end_asking()

    async def _request(self, track: str, nth: int) -> tuple[RequestFailed | None, datetime | None]:
        database, claim = self._tools.database, self._claim
        packets = self._recording.packets[track]
        attempt = await database(
            runs.start_attempt, claim, track, packets=packets, now=timezone.now()
        )
        try:
            audio = self._recording.audio[track]
            answer = await transcribe(self._tools.client, self._tools.service, audio)
        except RequestFailed as failure:
            wait = seconds_to_wait(failure, nth)
            await database(
                runs.fail_attempt, claim, attempt, failure, wait=wait, now=timezone.now()
            )
            return failure, attempt.next_try_at
        await database(runs.finish_attempt, claim, attempt, answer, now=timezone.now())
        return None, None

    def _begin_asking(self) -> None:
        self._asking += 1
        self._quiet.clear()

    def _end_asking(self) -> None:
        self._asking -= 1
        if not self._asking:
            self._quiet.set()


def seconds_to_wait(failure: RequestFailed, nth: int) -> float | None:
    """Until the next try after a failure, were it the nth transient one; None for never."""
    if failure.kind == Verdict.CALL_FAULT:
        return None
    if failure.kind == Verdict.THROTTLED:
        return retry.throttled(failure.retry_after, random=random.random)
    if failure.kind == Verdict.CONFIGURATION:
        return retry.misconfigured(random=random.random)
    return retry.delay(
        nth,
        max_retries=settings.MAX_AI_RETRIES,
        retry_after=failure.retry_after,
        random=random.random,
    )
