"""Many calls put away for good."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from calls.management.many import ManyCalls, age, everything, in_state
from calls.models import Call
from calls.models.audit import Verb
from calls.models.call import CallQuerySet
from calls.records import archive
from calls.records.many import Already
from calls.states import State


class Command(ManyCalls):
    help = (
        "Writes the recordings of the calls to the file storage, drops their packets and moves "
        "them to ARCHIVED. May be interrupted and run again. Exits with 1 where some were refused."
    )
    done = "archived"
    name, verb = "archive_calls", Verb.ARCHIVED

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--older-than", type=age, metavar="AGE", help="since the end: 30d, 12h")
        parser.add_argument("--state", choices=State.values)

    def select(self, options: dict[str, Any]) -> CallQuerySet | None:
        older = options["older_than"]
        if older is None and not options["state"]:
            return None
        calls = in_state(everything(), options["state"])
        return calls if older is None else calls.filter(ended_at__lte=timezone.now() - older)

    def prepare(self) -> None:
        archive.finish_dropping()

    def act(self, call_id: str) -> None:
        self._look(call_id)
        archive.archive(call_id, now=timezone.now(), actor=self.actor)
        self.note(call_id)

    def rehearse(self, call_id: str) -> str:
        call = self._look(call_id)
        archive.check(call)
        return f"would be archived with {call.packet_count:,} packets"

    def _look(self, call_id: str) -> Call:
        """The command may be run again: then a call that is archived is no refusal."""
        call = Call.objects.get(call_id=call_id)
        if call.state == State.ARCHIVED:
            raise Already("is archived already")
        return call
