"""Many calls deleted for good."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from calls.management.many import ManyCalls, age, everything
from calls.models import Call
from calls.models.audit import Verb
from calls.models.call import CallQuerySet
from calls.records import deletion
from calls.states import State


class Command(ManyCalls):
    help = (
        "Deletes ended calls for good: packets, recordings, text. A receipt stays. Exits with 1 "
        "where some were refused."
    )
    done = "deleted"
    name, verb = "delete_calls", Verb.DELETED

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--older-than", type=age, metavar="AGE", help="since the end: 90d, 12h")
        parser.add_argument("--state", choices=State.values)

    def select(self, options: dict[str, Any]) -> CallQuerySet | None:
        older, state = options["older_than"], options["state"]
        if older is None and not state:
            return None
        calls = everything().filter(state=state) if state else everything()
        return calls if older is None else calls.filter(ended_at__lte=timezone.now() - older)

    def act(self, call_id: str) -> None:
        deletion.delete(call_id, now=timezone.now(), actor=self.actor, reason="deleted by request")
        self.note(call_id)

    def rehearse(self, call_id: str) -> str:
        call = Call.objects.get(call_id=call_id)
        deletion.check(call)
        return f"would be deleted with {call.packet_count:,} packets"
