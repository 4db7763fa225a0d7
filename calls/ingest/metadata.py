"""What the PBX says of a call beside its packets."""

from datetime import datetime
from typing import Any

from django.db import transaction

from calls.ingest.store import create_calls
from calls.models import Call
from calls.moves import change

NOTED = ("dtmf", "gaps")  # what sockets of PBXs told; they go on telling it


def describe(call_id: str, said: dict[str, Any], *, now: datetime) -> Call:
    """Sets the given fields of a call, which is created when new."""
    create_calls({call_id}, now=now)
    with transaction.atomic():
        call = Call.objects.locked().get(call_id=call_id)
        if "metadata" in said:
            noted = {kind: call.metadata[kind] for kind in NOTED if kind in call.metadata}
            said = said | {"metadata": noted | said["metadata"]}
        change(call, now=now, **said)
        return call
