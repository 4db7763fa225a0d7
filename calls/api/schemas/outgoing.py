"""What is answered; times are ISO 8601 in UTC."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema

from calls.states import Encoding, EndReason, Outcome, Sentiment, State


class Accepted(Schema):
    status: Literal["accepted"] = "accepted"
    call_id: str
    sequence: int
    message: str | None
    duplicate: bool
    next_sequence: int
    missing: int
    received_at: datetime | None
    response_time_ms: float


class Rejected(Schema):
    index: int
    call_id: str | None
    sequence: int | None
    detail: str


class BulkAccepted(Schema):
    accepted: int
    duplicates: int
    rejected: list[Rejected]


class StatusOut(Schema):
    call_id: str
    state: State
    last_sequence: int | None
    packet_count: int
    missing: int
    duplicates: int
    late: int
    has_ai_result: bool
    ai_outcome: Outcome
    end_reason: EndReason | None
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    processed_at: datetime | None
    duration_s: float | None

    @staticmethod
    def resolve_end_reason(call: Any) -> str | None:
        return call.end_reason or None

    @staticmethod
    def resolve_duration_s(call: Any) -> float | None:
        return call.duration.total_seconds() if call.duration is not None else None


class MediaOut(Schema):
    encoding: Encoding
    sample_rate: int


class CallOut(StatusOut):
    """A call in a list: its status and what the PBX said of it."""

    agent: str
    queue: str
    caller: str
    callee: str
    direction: str
    media: MediaOut
    metadata: dict[str, Any]


class MoveOut(Schema):
    from_state: State
    to_state: State
    at: datetime
    actor: str
    reason: str


class AttemptOut(Schema):
    run: int
    track: str
    number: int
    started_at: datetime
    ended_at: datetime | None
    took_s: float | None
    status: int | None
    kind: str
    words: str
    next_try_at: datetime | None

    @staticmethod
    def resolve_run(attempt: Any) -> int:
        return int(attempt.job.run)


class UtteranceOut(Schema):
    track: str
    start: float
    end: float
    text: str
    sentiment: Sentiment
    score: float
    confidence: float | None


class ResultOut(Schema):
    transcript: str
    sentiment: Sentiment
    score: float
    utterances: list[UtteranceOut]

    @staticmethod
    def resolve_utterances(result: Any) -> list[Any]:
        return list(result.utterances.all())


class CallDetail(CallOut):
    missing_ranges: list[tuple[int, int]]
    journal: list[MoveOut]
    ai_attempts: list[AttemptOut]
    result: ResultOut | None

    @staticmethod
    def resolve_missing_ranges(call: Any) -> list[tuple[int, int]]:
        return list(call.missing_ranges())

    @staticmethod
    def resolve_journal(call: Any) -> list[Any]:
        return list(call.moves.all())

    @staticmethod
    def resolve_ai_attempts(call: Any) -> list[Any]:
        jobs = call.jobs.order_by("run").prefetch_related("attempts__job")
        return [attempt for job in jobs for attempt in job.attempts.all()]

    @staticmethod
    def resolve_result(call: Any) -> Any:
        return call.result if call.has_ai_result else None


class CallsOut(Schema):
    calls: list[CallOut]
    next_cursor: str | None


class AiStats(Schema):
    backlog: int
    oldest_due_s: float
    attempts: int
    failures: int
    available: bool


class StatsOut(Schema):
    calls: dict[State, int]
    packets_per_s: float
    ai: AiStats


class Problem(Schema):
    detail: Any
