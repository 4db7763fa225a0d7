"""A run from its first attempt to its outcome, each step one short transaction under the claim."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Count

from calls import dispatch
from calls.ai import attempts
from calls.ai.attempts import Progress
from calls.ai.audio import Audio, Piece, assemble_tracks
from calls.ai.claims import Claim, LostClaim, hold
from calls.ai.outcome import ACTOR, finish, give_up
from calls.ai.transcription import RequestFailed, Segment
from calls.models import Attempt, Call, Job, Packet
from calls.models.job import JobQuerySet, Verdict
from calls.moves import change, move
from calls.states import Outcome, State, Track

MAX_ABANDONED = 5  # leases in a row whose worker died
MAX_RESCUED = 500  # jobs at a time


@dataclass(frozen=True, slots=True)
class Recording:
    """What a worker read of a call: the audio of each track that has any."""

    audio: Mapping[str, Audio]
    packets: Mapping[str, int]


def begin(claim: Claim, *, now: datetime) -> None:
    """Moves the call to PROCESSING_AI at the first claim of a run."""
    with transaction.atomic():
        call, job = hold(claim)
        if call.state == State.PROCESSING_AI:
            return
        move(
            call,
            State.PROCESSING_AI,
            now=now,
            actor=ACTOR,
            reason=f"run {job.run}: {job.get_origin_display().lower()}",
            run=job.run,
            attempts=0,
            ai_outcome=Outcome.PENDING,
            ai_words="",
            next_attempt_at=now,
            last_error="",
        )


def read(claim: Claim) -> Recording:
    """Reads and assembles the call's packets, as they are now; outside any transaction."""
    call = Call.objects.get(pk=claim.call)
    pieces = {track: _pieces(call, track) for track in Track.values}
    audio = assemble_tracks(pieces, encoding=call.encoding, rate=call.sample_rate)
    return Recording(audio, {track: len(rows) for track, rows in pieces.items()})


def start_attempt(claim: Claim, track: str, *, packets: int, now: datetime) -> Attempt:
    """Opens the ledger's row of a request about to be made."""
    with transaction.atomic():
        call, job = hold(claim)
        attempt = attempts.start(job, track, packets=packets, now=now)
        change(call, now=now, attempts=call.attempts + 1, next_attempt_at=None)
        return attempt


def finish_attempt(
    claim: Claim, attempt: Attempt, answer: Sequence[Segment], *, now: datetime
) -> None:
    with transaction.atomic():
        call, job = hold(claim)
        attempts.succeed(attempt, answer, now=now)
        _forget_deaths(job)
        change(call, now=now, last_error="")


def fail_attempt(
    claim: Claim, attempt: Attempt, failure: RequestFailed, *, wait: float | None, now: datetime
) -> None:
    with transaction.atomic():
        call, job = hold(claim)
        attempts.fail(attempt, failure, wait=wait, now=now)
        _forget_deaths(job)
        change(call, now=now, next_attempt_at=attempt.next_try_at, last_error=attempt.words)


def track_progress(claim: Claim, recording: Recording) -> dict[str, Progress]:
    """How far each track with audio has come."""
    job = Job.objects.get(pk=claim.job)
    return {
        track: attempts.progress(job, track, packets=recording.packets[track])
        for track in recording.audio
    }


def conclude(claim: Claim, recording: Recording, *, now: datetime) -> None:
    """Stores the outcome if the run has one, else puts the job back until it is due again."""
    with transaction.atomic():
        call, job = hold(claim)
        if _count_packets(call) != recording.packets:
            release(call, job, due_at=now, now=now)
            return
        tracks = track_progress(claim, recording)
        faults = [track.fault for track in tracks.values() if track.fault]
        waiting = [track for track in tracks.values() if not track.answer]
        if faults:
            give_up(call, job, faults[0].words, kind=faults[0].kind, now=now)
        elif waiting:
            due = min(track.next_try_at or now for track in waiting)
            release(call, job, due_at=due, now=now)
        else:
            answers = {
                name: track.answer.answer or [] for name, track in tracks.items() if track.answer
            }
            finish(call, job, answers, now=now)


def hand_back(claim: Claim, *, now: datetime) -> None:
    """A worker that stops gives its work back; nothing is spent."""
    with transaction.atomic():
        call, job = hold(claim)
        attempts.abandon(job, words="the worker was stopped; asked again at once", now=now)
        release(call, job, due_at=now, now=now)


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
    job.save(update_fields=["abandoned"])
    if job.abandoned >= MAX_ABANDONED and call.state == State.PROCESSING_AI:
        words = f"{MAX_ABANDONED} workers in a row died over this call"
        give_up(call, job, words, kind=Verdict.ABANDONED, now=now)
    else:
        release(call, job, due_at=now, now=now)


def release(call: Call, job: Job, *, due_at: datetime, now: datetime) -> None:
    """Gives up a held job until it is due; whoever is awake then takes it."""
    job.token, job.leased_until, job.holder, job.due_at = None, None, "", due_at
    job.save(update_fields=["token", "leased_until", "holder", "due_at"])
    dispatch.wake(at=due_at)
    change(call, now=now, next_attempt_at=due_at)


def _forget_deaths(job: Job) -> None:
    if job.abandoned:
        job.abandoned = 0
        job.save(update_fields=["abandoned"])


def _pieces(call: Call, track: str) -> list[Piece]:
    rows = Packet.objects.filter(call=call, track=track).order_by("sequence")
    return [Piece(*row) for row in rows.values_list("data", "timestamp").iterator()]


def _count_packets(call: Call) -> dict[str, int]:
    rows = Packet.objects.filter(call=call).values_list("track").annotate(Count("sequence"))
    return dict.fromkeys(Track.values, 0) | dict(rows)
