"""How a run ends: with a result, without one, or given up."""

from collections.abc import Mapping
from datetime import datetime

from calls.ai import sentiment
from calls.ai.jobs import queue_further_run
from calls.ai.transcription import Segment
from calls.models import Call, Job, Result, Utterance
from calls.models.job import Verdict
from calls.moves import change, move
from calls.states import Outcome, State

ACTOR = "worker"

Answers = Mapping[str, list[dict[str, object]]]


def finish(call: Call, job: Job, answers: Answers, *, now: datetime) -> None:
    """No audio: no result. Else a result, whose transcript may be empty."""
    if not answers:
        outcome, words = Outcome.NO_AUDIO, "No packet of the call holds audio that can be decoded."
    elif _store_result(call, job, answers, now=now):
        outcome, words = Outcome.TRANSCRIBED, ""
    else:
        outcome, words = Outcome.NO_SPEECH, "Nobody is heard to speak."
    _close(job, outcome, now=now)
    move(
        call,
        State.COMPLETED,
        now=now,
        actor=ACTOR,
        reason=f"run {job.run}: {outcome.label.lower()}",
        ai_outcome=outcome,
        ai_words=words,
        has_ai_result=bool(answers) or call.has_ai_result,
        processed_at=now,
        next_attempt_at=None,
        last_error="",
        unread_late=False,
    )


def _store_result(call: Call, job: Job, answers: Answers, *, now: datetime) -> bool:
    """Replaces the call's result as a whole; whether anything was said."""
    utterances = sorted(
        (_utterance(track, row) for track, rows in answers.items() for row in rows),
        key=lambda utterance: (utterance.start, utterance.track),
    )
    verdict = sentiment.overall((u.text, u.score) for u in utterances)
    Result.objects.filter(call=call).delete()
    result = Result.objects.create(
        call=call,
        run=job.run,
        transcript="\n".join(utterance.text for utterance in utterances),
        sentiment=verdict.sentiment,
        score=verdict.score,
        created_at=now,
    )
    for utterance in utterances:
        utterance.result = result
    Utterance.objects.bulk_create(utterances)
    return bool(utterances)


def _utterance(track: str, row: Mapping[str, object]) -> Utterance:
    segment = Segment(**row)  # type: ignore[arg-type]
    judged = sentiment.judge(segment.text)
    return Utterance(
        track=track,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        sentiment=judged.sentiment,
        score=judged.score,
        confidence=segment.confidence,
    )


def give_up(call: Call, job: Job, words: str, *, kind: str, now: datetime) -> None:
    """FAILED; after transient failures a further run comes by itself, a few times."""
    _close(job, Outcome.FAILED, now=now)
    move(
        call,
        State.FAILED,
        now=now,
        actor=ACTOR,
        reason=f"run {job.run}: {words}",
        ai_outcome=Outcome.FAILED,
        ai_words=words,
        processed_at=now,
        next_attempt_at=None,
        last_error=words,
    )
    if kind == Verdict.TRANSIENT:
        again = queue_further_run(call, job, now=now)
        change(call, now=now, next_attempt_at=again)


def _close(job: Job, outcome: Outcome, *, now: datetime) -> None:
    job.finished_at, job.outcome = now, outcome
    job.token, job.leased_until, job.holder = None, None, ""
    job.save(update_fields=["finished_at", "outcome", "token", "leased_until", "holder"])
