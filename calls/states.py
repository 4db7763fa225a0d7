"""What can be said of a call, and the only moves between its states."""

from collections.abc import Mapping
from typing import Final

from django.db.models import TextChoices


class State(TextChoices):
    """What is happening to the call now."""

    IN_PROGRESS = "IN_PROGRESS", "In progress"
    COMPLETED = "COMPLETED", "Completed"
    PROCESSING_AI = "PROCESSING_AI", "Processing AI"
    FAILED = "FAILED", "Failed"
    ARCHIVED = "ARCHIVED", "Archived"


class EndReason(TextChoices):
    HANGUP = "hangup", "Hangup"
    IDLE_TIMEOUT = "idle_timeout", "Idle timeout"
    OPERATOR = "operator", "Operator"
    CONNECTION_LOST = "connection_lost", "Connection lost"


class Outcome(TextChoices):
    """What came of the call's AI work so far."""

    PENDING = "pending", "Pending"
    TRANSCRIBED = "transcribed", "Transcribed"
    NO_SPEECH = "no_speech", "No speech"
    NO_AUDIO = "no_audio", "No audio"
    FAILED = "failed", "Failed"


class Track(TextChoices):
    INBOUND = "inbound", "Inbound"
    OUTBOUND = "outbound", "Outbound"


class Encoding(TextChoices):
    """Media types of a packet's audio (RFC 4856 for G.711, RFC 3551 for L16)."""

    MULAW = "audio/x-mulaw", "G.711 µ-law"
    ALAW = "audio/x-alaw", "G.711 A-law"
    L16 = "audio/l16", "Linear 16 bit, big-endian"


class Direction(TextChoices):
    INBOUND = "inbound", "Inbound"
    OUTBOUND = "outbound", "Outbound"


class Sentiment(TextChoices):
    POSITIVE = "positive", "Positive"
    NEUTRAL = "neutral", "Neutral"
    NEGATIVE = "negative", "Negative"


CALL_ID_PATTERN: Final = r"^[A-Za-z0-9+][A-Za-z0-9+._:@-]{0,127}$"
CALL_ID_CHARACTERS: Final = CALL_ID_PATTERN.replace("{0,127}", "*")
MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.IN_PROGRESS: frozenset({State.COMPLETED, State.FAILED}),
    State.COMPLETED: frozenset({State.PROCESSING_AI, State.ARCHIVED}),
    State.PROCESSING_AI: frozenset({State.COMPLETED, State.FAILED}),
    State.FAILED: frozenset({State.PROCESSING_AI, State.ARCHIVED}),
    State.ARCHIVED: frozenset(),
}
# Nobody said that the call was over: more of it may still come.
ENDED_BY_SILENCE: Final = (EndReason.IDLE_TIMEOUT, EndReason.CONNECTION_LOST)
RUNNABLE: Final = frozenset(s for s in State if State.PROCESSING_AI in MOVES[s])
WITH_RESULT: Final = frozenset({Outcome.TRANSCRIBED, Outcome.NO_SPEECH})
SETTLED_WELL: Final = (Outcome.TRANSCRIBED, Outcome.NO_SPEECH, Outcome.NO_AUDIO)


class IllegalMove(Exception):
    """A move that the table does not know; names both states."""

    def __init__(self, call_id: str, origin: str, target: str) -> None:
        super().__init__(f"call {call_id} cannot move from {origin} to {target}")
        self.call_id, self.origin, self.target = call_id, origin, target


def may_move(origin: str, target: str) -> bool:
    return State(target) in MOVES[State(origin)]
