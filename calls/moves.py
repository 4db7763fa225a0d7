"""The one door of a state change: checks the table, journals, announces."""

from datetime import datetime
from typing import Any

from calls import events
from calls.models import Call, Move
from calls.states import IllegalMove, State, may_move


def move(call: Call, to: State, *, now: datetime, actor: str, reason: str, **changes: Any) -> None:
    """Moves a locked call, with what changes about it at the same moment.

    Must run inside the transaction that holds the call's lock. Raises `IllegalMove`.
    """
    origin = call.state
    if not may_move(origin, to):
        raise IllegalMove(call.call_id, origin, to)
    change(call, now=now, state=to, **changes)
    Move.objects.create(
        call=call,
        from_state=origin,
        to_state=to,
        at=now,
        actor=actor[:200],
        reason=reason[:500],
    )


def change(call: Call, *, now: datetime, **changes: Any) -> None:
    """Writes what changed about a locked call, raises its version and announces it."""
    changes |= {"updated_at": now, "version": call.version + 1}
    for field, value in changes.items():
        setattr(call, field, value)
    call.save(update_fields=list(changes))
    events.changed([call.pk])
