"""What is done for one claimed call: its tracks side by side, then the outcome."""

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from calls import context, tracing
from calls.ai import recording, retry, runs
from calls.ai.attempts import Progress
from calls.ai.claims import Claim, LostClaim
from calls.ai.recording import Recording
from calls.ai.runs import Answered, Request, Standing
from calls.ai.together import Together
from calls.ai.transcription import Client, RequestFailed
from calls.context import About
from calls.models import Attempt
from calls.models.job import Verdict

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tools:
    """What all work of one driver shares; `requests` bounds those in flight."""

    ledger: Together
    reader: Together
    requests: asyncio.Semaphore
    client: Client
    breaker_is_open: bool = False


async def work_on(claim: Claim, tools: Tools) -> None:
    """Takes the call as far as it can be taken now. Never raises but for cancellation."""
    try:
        found: Recording = await tools.reader(recording.read, claim)
        context.begin(About(named=found.call_id))
        with tracing.span("run of a call", attributes={"call.id": found.call_id}):
            await _Work(claim, found, tools).run()
    except LostClaim as error:
        log.warning("%s", error)
    except Exception:
        # The lease runs out and the sweep takes the job back; other calls go on.
        log.exception("job %d stopped short", claim.job)


class _Work:
    def __init__(self, claim: Claim, found: Recording, tools: Tools) -> None:
        self._claim, self._found, self._tools = claim, found, tools
        self._standing = Standing(claim, found.packets, found.tracks, found.seconds)
        self._asking = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._concluded = False

    async def run(self) -> None:
        tracks = self._found.tracks
        if not tracks:
            await self._tools.ledger(runs.begin, self._claim)
        await asyncio.gather(*(self._on_track(name, tracks[name]) for name in tracks))
        if not self._concluded:
            await self._tools.ledger(runs.conclude, self._standing)

    async def _on_track(self, track: str, progress: Progress) -> None:
        """Asks until the track is answered, given up, has to wait, or the service is away."""
        while not progress.is_finished and await self._time_comes(progress.next_try_at):
            self._asking += 1
            self._quiet.clear()
            try:
                async with self._tools.requests:
                    if self._tools.breaker_is_open:
                        return
                    await self._ask(track, progress)
            finally:
                self._asking -= 1
                if not self._asking:
                    self._quiet.set()

    async def _time_comes(self, moment: datetime | None) -> bool:
        """Waits only as long as the other track keeps the claim busy anyway."""
        seconds = (moment - timezone.now()).total_seconds() if moment else 0.0
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._quiet.wait()
                    return False
        return not self._concluded

    async def _ask(self, track: str, progress: Progress) -> None:
        """One request and its row in the ledger; the last one concludes the run."""
        request = Request(self._claim, track, progress.number + 1, self._found.packets[track])
        attempt: Attempt = await self._tools.ledger(runs.start, request)
        answered = await self._request(attempt, progress)
        self._concluded = answered.last
        await self._tools.ledger(runs.close, answered)

    async def _request(self, attempt: Attempt, progress: Progress) -> Answered:
        """What comes of it; it is the last while nothing else of the call is asked."""
        answer = failure = wait = None
        try:
            segments = await self._tools.client.transcribe(self._found.audio[attempt.track])
            answer = [asdict(segment) for segment in segments]
        except RequestFailed as error:
            failure, wait = error, seconds_to_wait(error, progress.failures + 1)
        return Answered(self._standing, attempt, answer, failure, wait, last=self._asking == 1)


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
