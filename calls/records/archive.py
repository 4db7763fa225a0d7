"""Calls put away for good."""

from datetime import datetime

from django.db import transaction

from calls.models import Call
from calls.moves import move
from calls.states import IllegalMove, Outcome, State


class ArchiveRefused(Exception):
    """A call that may not be archived now; says why, to the person who asked."""


def archive(call_id: str, *, now: datetime, actor: str) -> Call:
    """Moves an ended call with an outcome to ARCHIVED.

    Raises `Call.DoesNotExist`, and `ArchiveRefused` where the state or the outcome forbids it.
    """
    with transaction.atomic():
        call = Call.objects.locked().get(call_id=call_id)
        if call.ai_outcome == Outcome.PENDING and call.state != State.IN_PROGRESS:
            raise ArchiveRefused(f"call {call_id} still waits for its AI outcome")
        try:
            move(call, State.ARCHIVED, now=now, actor=actor, reason="archived by request")
        except IllegalMove as error:
            raise ArchiveRefused(str(error)) from None
        call.jobs.open().delete()
        return call
