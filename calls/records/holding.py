"""Calls that somebody still needs: held, they are neither archived nor deleted."""

from datetime import datetime

from django.db import transaction

from calls.models import Call
from calls.moves import change


def hold(call_id: str, *, now: datetime) -> Call:
    """Raises `Call.DoesNotExist`."""
    return _set(call_id, True, now=now)


def release(call_id: str, *, now: datetime) -> Call:
    """Raises `Call.DoesNotExist`."""
    return _set(call_id, False, now=now)


def _set(call_id: str, held: bool, *, now: datetime) -> Call:
    with transaction.atomic():
        call = Call.objects.locked().get(call_id=call_id)
        if call.held != held:
            change(call, now=now, held=held)
        return call
