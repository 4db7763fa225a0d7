"""The one door of a state change: checks the table, journals, announces."""

from datetime import datetime
from typing import Any

from calls import events
from calls.models import Call, Move, bulk
from calls.states import IllegalMove, State, may_move


class Changes:
    """What happens to locked calls within one transaction, written and announced together.

    Must be written inside the transaction that holds the calls' locks.
    """

    def __init__(self, *, now: datetime) -> None:
        self._now = now
        self._calls: dict[int, Call] = {}
        self._fields: set[str] = set()
        self._moves: list[Move] = []

    def move(self, call: Call, to: State, *, actor: str, reason: str, **fields: Any) -> None:
        """Moves a call, with what changes about it at the same moment. Raises `IllegalMove`."""
        origin = call.state
        if not may_move(origin, to):
            raise IllegalMove(call.call_id, origin, to)
        self.change(call, state=to, **fields)
        self._moves.append(
            Move(
                call=call,
                from_state=origin,
                to_state=to,
                at=self._now,
                actor=actor[:200],
                reason=reason[:500],
            )
        )

    def change(self, call: Call, **fields: Any) -> None:
        """Changes what is known of a call; its version rises once, however often it changes."""
        if call.pk not in self._calls:
            self._calls[call.pk] = call
            fields |= {"updated_at": self._now, "version": call.version + 1}
        for field, value in fields.items():
            setattr(call, field, value)
        self._fields |= fields.keys()

    def write(self) -> None:
        if not self._calls:
            return
        bulk.update(self._calls.values(), sorted(self._fields))
        Move.objects.bulk_create(self._moves)
        events.changed(self._calls)


def move(call: Call, to: State, *, now: datetime, actor: str, reason: str, **fields: Any) -> None:
    """One move of one locked call. Raises `IllegalMove`."""
    changes = Changes(now=now)
    changes.move(call, to, actor=actor, reason=reason, **fields)
    changes.write()


def change(call: Call, *, now: datetime, **fields: Any) -> None:
    """One change of one locked call."""
    changes = Changes(now=now)
    changes.change(call, **fields)
    changes.write()
