"""What is happening to a call, in a few words."""

from datetime import datetime

from calls.models import Call
from calls.states import Outcome, State


def ai_progress(call: Call) -> str:
    """Beside it stands the countdown to `next_try_at`, where there is one to wait for."""
    if call.state == State.IN_PROGRESS:
        return ""
    if call.state == State.PROCESSING_AI:
        return _under_way(call)
    if call.ai_outcome == Outcome.PENDING:
        return "queued"
    if call.state == State.FAILED and call.next_attempt_at:
        return f"{_attempts(call)}, new run"
    return _attempts(call) if call.attempts else ""


def next_try_at(call: Call) -> datetime | None:
    """Of work that has begun; the first request of a call just ended is no news."""
    begun = call.state in (State.PROCESSING_AI, State.FAILED)
    return call.next_attempt_at if begun else None


def no_transcript(call: Call) -> str:
    """Why there is none."""
    if call.state == State.IN_PROGRESS:
        return "The transcript comes once the call has ended."
    if call.ai_outcome == Outcome.PENDING:
        return "The AI service is at work on it, or will be soon."
    return call.ai_words or "There is none."


def no_recording(call: Call) -> str:
    """Why there is none to be heard."""
    if call.state == State.IN_PROGRESS:
        return "The recording can be played once the call has ended."
    if not call.packet_count:
        return "Not one packet of the call came."
    return "No packet of the call holds audio that can be decoded."


def refusal(call: Call) -> str:
    """Why something cannot be done with the call now."""
    if call.state == State.IN_PROGRESS:
        return "Possible once the call has ended."
    if call.state == State.PROCESSING_AI:
        return "Possible once the AI work is done."
    if call.state == State.ARCHIVED:
        return "An archived call stays as it is."
    return "To be archived once it has an outcome." if call.ai_outcome == Outcome.PENDING else ""


def _under_way(call: Call) -> str:
    if call.next_attempt_at is None:
        return f"attempt {call.attempts} under way"
    if call.last_error:
        return f"attempt {call.attempts} failed, next try"
    return "next request"


def _attempts(call: Call) -> str:
    return "1 attempt" if call.attempts == 1 else f"{call.attempts} attempts"
