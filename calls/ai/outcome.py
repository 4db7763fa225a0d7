"""How runs end: with a result, without one, given up, or put back; many in one transaction."""

from collections.abc import Mapping
from datetime import datetime

from calls import dispatch
from calls.ai import sentiment
from calls.ai.attempts import Answer
from calls.ai.jobs import queue_further_run
from calls.ai.transcription import Segment
from calls.models import Call, Job, Result, Utterance, bulk
from calls.models.job import Verdict
from calls.moves import Changes
from calls.states import Outcome, State

ACTOR = "worker"

Answers = Mapping[str, Answer]


class Outcomes:
    """What comes of held jobs, gathered and then written in the transaction that holds them."""

    def __init__(self, *, now: datetime) -> None:
        self._now = now
        self._changes = Changes(now=now)
        self._jobs: list[Job] = []
        self._results: list[Result] = []
        self._utterances: list[Utterance] = []
        self._replaced: list[int] = []
        self._to_run_again: list[tuple[Call, Job]] = []

    def finish(self, call: Call, job: Job, answers: Answers, *, seconds: float) -> None:
        """No audio: no result. Else one of so long a recording, whose transcript may be empty."""
        if not answers:
            outcome, words = (
                Outcome.NO_AUDIO,
                "No packet of the call holds audio that can be decoded.",
            )
        elif self._has_speech(call, job, answers, seconds):
            outcome, words = Outcome.TRANSCRIBED, missing_audio(call)
        else:
            outcome, words = Outcome.NO_SPEECH, f"Nobody is heard to speak. {missing_audio(call)}"
        self._close(job, outcome)
        self._changes.move(
            call,
            State.COMPLETED,
            actor=ACTOR,
            reason=f"run {job.run}: {outcome.label.lower()}",
            ai_outcome=outcome,
            ai_words=words.strip(),
            has_ai_result=bool(answers) or call.has_ai_result,
            processed_at=self._now,
            next_attempt_at=None,
            last_error="",
            unread_late=False,
        )

    def give_up(self, call: Call, job: Job, words: str, *, kind: str) -> None:
        """FAILED; after transient failures a further run comes by itself, a few times."""
        self._close(job, Outcome.FAILED)
        self._changes.move(
            call,
            State.FAILED,
            actor=ACTOR,
            reason=f"run {job.run}: {words}",
            ai_outcome=Outcome.FAILED,
            ai_words=words[:500],
            processed_at=self._now,
            next_attempt_at=None,
            last_error=words[:500],
        )
        if kind == Verdict.TRANSIENT:
            self._to_run_again.append((call, job))

    def put_back(self, call: Call, job: Job, *, due_at: datetime) -> None:
        """Nobody holds the job any more; whoever is awake when it is due takes it."""
        job.due_at = due_at
        self._let_go(job)
        self._changes.change(call, next_attempt_at=due_at)

    def write(self) -> None:
        bulk.update(
            self._jobs,
            ["finished_at", "outcome", "token", "leased_until", "holder", "due_at", "abandoned"],
        )
        if self._replaced:
            Result.objects.filter(call__in=self._replaced).delete()
        Result.objects.bulk_create(self._results)
        Utterance.objects.bulk_create(self._utterances)
        for call, job in self._to_run_again:
            self._changes.change(call, next_attempt_at=queue_further_run(call, job, now=self._now))
        self._changes.write()
        for moment in {job.due_at for job in self._jobs if job.finished_at is None}:
            dispatch.wake(at=moment)

    def _has_speech(self, call: Call, job: Job, answers: Answers, seconds: float) -> bool:
        """Prepares the result that replaces the call's old one; whether anything was said."""
        utterances = sorted(
            (_utterance(track, row) for track, rows in answers.items() for row in rows),
            key=lambda utterance: (utterance.start, utterance.track),
        )
        verdict = sentiment.overall((u.text, u.score) for u in utterances)
        result = Result(
            call=call,
            run=job.run,
            transcript="\n".join(utterance.text for utterance in utterances),
            sentiment=verdict.sentiment,
            score=verdict.score,
            seconds=seconds,
            created_at=self._now,
        )
        for utterance in utterances:
            utterance.result = result
        self._results.append(result)
        if call.has_ai_result:
            self._replaced.append(call.pk)
        self._utterances += utterances
        return bool(utterances)

    def _close(self, job: Job, outcome: Outcome) -> None:
        job.finished_at, job.outcome = self._now, outcome
        self._let_go(job)

    def _let_go(self, job: Job) -> None:
        job.token, job.leased_until, job.holder = None, None, ""
        self._jobs.append(job)


def missing_audio(call: Call) -> str:
    """How much of the audio is not in the result, in words; nothing where all packets came."""
    if not call.missing:
        return ""
    share = call.missing / (call.packet_count + call.missing)
    packets = "packet" if call.missing == 1 else "packets"
    return f"{share:.1%} of the audio is missing: {call.missing} {packets} never came."


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
