"""The AI work of many calls once more."""

from argparse import ArgumentParser
from typing import Any

from django.db import transaction
from django.utils import timezone

from calls.ai import jobs
from calls.management.many import ManyCalls, everything, in_state, moment
from calls.models import Call
from calls.models.audit import Verb
from calls.models.call import CallQuerySet
from calls.states import State


class Command(ManyCalls):
    help = (
        "Queues a new AI run for the calls, behind those that just ended. Exits with 1 where some "
        "were refused."
    )
    done = "queued"
    name, verb = "reprocess_calls", Verb.REPROCESSED

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--state", choices=State.values)
        parser.add_argument("--agent")
        parser.add_argument("--since", type=moment, metavar="TIME", help="begun then or later")
        parser.add_argument("--until", type=moment, metavar="TIME", help="begun before then")

    def select(self, options: dict[str, Any]) -> CallQuerySet | None:
        filters = {
            "agent": options["agent"],
            "created_at__gte": options["since"],
            "created_at__lt": options["until"],
        }
        given = {name: value for name, value in filters.items() if value is not None}
        if not given and not options["state"]:
            return None
        return in_state(everything().filter(**given), options["state"])

    def act(self, call_id: str) -> Call:
        call = jobs.reprocess(call_id, now=timezone.now(), actor=self.actor)
        self.note(call_id)
        return call

    def rehearse(self, call_id: str) -> str:
        with transaction.atomic():
            before = Call.objects.get(call_id=call_id).version
            changed = self.act(call_id).version != before
            transaction.set_rollback(True)
            return "would be queued" if changed else "is queued already"
