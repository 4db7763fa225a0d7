"""A run from its first attempt to its outcome, step by step.

A step takes what many calls want at that moment and does it in one short transaction under their
claims; for each it answers with its result or with the `LostClaim` that forbids it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from calls.ai import attempts, breaker
from calls.ai.attempts import Answer, Ledger
from calls.ai.claims import Claim, Held, LostClaim, hold, hold_all
from calls.ai.outcome import ACTOR, Outcomes
from calls.ai.transcription import RequestFailed
from calls.models import AiService, Attempt, Call, Job, bulk
from calls.models.job import FAULTS, JobQuerySet, Verdict
from calls.moves import Changes
from calls.states import Outcome, State

MAX_ABANDONED = 5  # leases in a row whose worker died
MAX_RESCUED = 500  # jobs at a time


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt about to be made, numbered within its run and track."""

    claim: Claim
    track: str
    number: int
    packets: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a claimed call has come: its packets as they were read, its tracks, its length."""

    claim: Claim
    packets: Mapping[str, int]
    tracks: Ledger
    seconds: float = 0.0

    def note(self, attempt: Attempt) -> None:
        self.tracks[attempt.track].note(attempt, packets=self.packets[attempt.track])


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of an attempt: an answer, or a failure and the seconds to the next try.

    `last` says that nothing else is asked about the call now, so that the run is concluded.
    """

    standing: Standing
    attempt: Attempt
    answer: Answer | None = None
    failure: RequestFailed | None = None
    wait: float | None = None
    last: bool = False

    @property
    def claim(self) -> Claim:
        return self.standing.claim


def begin(claims: Sequence[Claim], *, now: datetime) -> list[LostClaim | None]:
    """Moves calls to PROCESSING_AI about which nothing will be asked."""
    with transaction.atomic():
        held = hold_all(claims)
        changes = Changes(now=now)
        for call, job in held.values():
            _begin(call, job, changes, now=now)
        changes.write()
    return _lost(claims, held)


def _begin(call: Call, job: Job, changes: Changes, *, now: datetime) -> None:
    """A run begins with its first attempt, whoever makes it."""
    if call.state == State.PROCESSING_AI:
        return
    changes.move(
        call,
        State.PROCESSING_AI,
        actor=ACTOR,
        reason=f"run {job.run}: {job.get_origin_display().lower()}",
        run=job.run,
        attempts=0,
        ai_outcome=Outcome.PENDING,
        ai_words="",
        next_attempt_at=now,
        last_error="",
    )


def start(requests: Sequence[Request], *, now: datetime) -> list[Attempt | LostClaim]:
    """Opens the ledger's rows, a run's first with the run; the same row twice is one."""
    with transaction.atomic():
        held = hold_all({request.claim for request in requests})
        changes = Changes(now=now)
        rows: dict[Request, Attempt] = {}
        for request in requests:
            if request.claim in held:
                call, job = held[request.claim]
                _begin(call, job, changes, now=now)
                rows[request] = _row(request, now=now)
                changes.change(call, attempts=call.attempts + 1, next_attempt_at=None)
        Attempt.objects.bulk_create(
            rows.values(),
            update_conflicts=True,
            unique_fields=["job", "track", "number"],
            update_fields=["started_at"],
        )
        changes.write()
    return [rows.get(request) or LostClaim(request.claim) for request in requests]


def _row(request: Request, *, now: datetime) -> Attempt:
    return Attempt(
        job_id=request.claim.job,
        track=request.track,
        number=request.number,
        started_at=now,
        packets_read=request.packets,
    )


def close(answers: Sequence[Answered], *, now: datetime) -> list[LostClaim | None]:
    """Closes the ledger's rows, tells the breaker, and concludes the runs whose last it was."""
    with transaction.atomic():
        held = hold_all({answered.claim for answered in answers})
        ours = [answered for answered in answers if answered.claim in held]
        service = breaker.state()
        _close_rows(ours, held, service, now=now)
        _tell_breaker(ours, service, now=now)
        _conclude([answered.standing for answered in ours if answered.last], held, now=now)
    return _lost((answered.claim for answered in answers), held)


def _close_rows(
    answers: Sequence[Answered], held: Held, service: AiService, *, now: datetime
) -> None:
    changes = Changes(now=now)
    for answered in answers:
        _close_row(answered, away=service.is_away, now=now)
        answered.standing.note(answered.attempt)
        if answered.failure:
            attempt = answered.attempt
            call, _ = held[answered.claim]
            changes.change(call, next_attempt_at=attempt.next_try_at, last_error=attempt.words)
    bulk.update([answered.attempt for answered in answers], CLOSED)
    _forget_deaths([held[answered.claim][1] for answered in answers])
    changes.write()


CLOSED = ("ended_at", "kind", "status", "words", "answer", "next_try_at", "forgiven")


def _close_row(answered: Answered, *, away: bool, now: datetime) -> None:
    attempt, failure = answered.attempt, answered.failure
    attempt.ended_at = max(now, attempt.started_at)
    if failure is None:
        attempt.kind, attempt.status, attempt.answer = Verdict.SUCCESS, 200, answered.answer
        return
    attempt.kind, attempt.status, attempt.words = failure.kind, failure.status, failure.words[:400]
    attempt.forgiven = away and failure.kind in FAULTS
    attempt.words += breaker.GIVEN_BACK if attempt.forgiven else ""
    wait = 0.0 if attempt.forgiven else answered.wait
    attempt.next_try_at = None if wait is None else attempt.ended_at + timedelta(seconds=wait)


def _forget_deaths(jobs: Sequence[Job]) -> None:
    survivors = [job for job in jobs if job.abandoned]
    for job in survivors:
        job.abandoned = 0
    bulk.update(survivors, ["abandoned"])


def _tell_breaker(answers: Sequence[Answered], service: AiService, *, now: datetime) -> None:
    failures = [answered.failure for answered in answers if answered.failure]
    faults = [failure for failure in failures if failure.kind in FAULTS]
    if service.is_open:
        if len(failures) < len(answers):
            breaker.trust()
    elif faults and len(failures) == len(answers):
        refused = any(fault.kind == Verdict.CONFIGURATION for fault in faults)
        breaker.judge(faults[-1].words, now=now, one_is_enough=refused)


def conclude(standings: Sequence[Standing], *, now: datetime) -> list[LostClaim | None]:
    """Stores the outcomes of the runs that have one, puts the others back until they are due."""
    with transaction.atomic():
        held = hold_all([standing.claim for standing in standings])
        _conclude([s for s in standings if s.claim in held], held, now=now)
    return _lost((standing.claim for standing in standings), held)


def _conclude(standings: Sequence[Standing], held: Held, *, now: datetime) -> None:
    outcomes = Outcomes(now=now)
    for standing in standings:
        call, job = held[standing.claim]
        if call.packet_count != sum(standing.packets.values()):
            outcomes.put_back(call, job, due_at=now)
        else:
            _settle(call, job, standing, outcomes, now=now)
    outcomes.write()


def _settle(call: Call, job: Job, standing: Standing, outcomes: Outcomes, *, now: datetime) -> None:
    """A failure may fail the call only once the service has shown that it is alive."""
    tracks = standing.tracks
    faults = [track.fault for track in tracks.values() if track.fault]
    exhausted = [
        track.words
        for name, track in tracks.items()
        if track.is_exhausted and attempts.is_exhausted(job, name)
    ]
    waiting = [track.next_try_at or now for track in tracks.values() if track.answer is None]
    if faults:
        outcomes.give_up(call, job, faults[0], kind=Verdict.CALL_FAULT)
    elif exhausted and breaker.is_alive(now=now):
        outcomes.give_up(call, job, exhausted[0], kind=Verdict.TRANSIENT)
    elif exhausted:
        breaker.judge(exhausted[0], now=now, one_is_enough=True)
        outcomes.put_back(call, job, due_at=now)
    elif waiting:
        outcomes.put_back(call, job, due_at=min(waiting))
    else:
        answers = {name: track.answer or [] for name, track in tracks.items()}
        outcomes.finish(call, job, answers, seconds=standing.seconds)


def hand_back(claims: Sequence[Claim], *, now: datetime) -> list[LostClaim | None]:
    """A worker that stops gives its work back; nothing is spent."""
    with transaction.atomic():
        held = hold_all(claims)
        outcomes = Outcomes(now=now)
        for call, job in held.values():
            attempts.abandon(job, words="the worker was stopped; asked again at once", now=now)
            outcomes.put_back(call, job, due_at=now)
        outcomes.write()
    return _lost(claims, held)


def _lost(claims: Iterable[Claim], held: Held) -> list[LostClaim | None]:
    return [None if claim in held else LostClaim(claim) for claim in claims]


def rescue_dead(*, now: datetime) -> int:
    """Takes back the jobs whose lease ran out, due at once; how many."""
    return _rescue(Job.objects.dead(now=now), now=now)


def rescue_from(worker: str, *, now: datetime) -> int:
    """Takes back at once what a worker held of which somebody knows that it is dead; how many."""
    return _rescue(Job.objects.held_by(worker), now=now)


def _rescue(dead: JobQuerySet, *, now: datetime) -> int:
    rescued = 0
    for job in dead.order_by("leased_until")[:MAX_RESCUED]:
        assert job.token
        with suppress(LostClaim), transaction.atomic():
            _take_back(*hold(Claim(job.pk, job.call_id, job.token)), now=now)
            rescued += 1
    return rescued


def _take_back(call: Call, job: Job, *, now: datetime) -> None:
    attempts.abandon(job, words="the worker died; asked again", now=now)
    job.abandoned += 1
    outcomes = Outcomes(now=now)
    if job.abandoned >= MAX_ABANDONED and call.state == State.PROCESSING_AI:
        words = f"{MAX_ABANDONED} workers in a row died over this call"
        outcomes.give_up(call, job, words, kind=Verdict.ABANDONED)
    else:
        outcomes.put_back(call, job, due_at=now)
    outcomes.write()
