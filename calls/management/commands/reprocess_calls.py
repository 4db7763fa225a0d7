"""The AI work of many calls once more."""

from argparse import ArgumentParser
from typing import Any

from django.db import transaction
from django.utils import timezone

from calls.ai import jobs
from calls.management.many import ManyCalls, everything, in_state, moment
from calls.models.audit import Verb
from calls.models.call import CallQuerySet
from calls.records.many import Already
from calls.states import State


class Command(ManyCalls):
    help = (
        "Queues a new AI run for the calls, behind those that just ended. Exits with 1 where some "
        "were refused."
    )
    done = "queued"
    name, verb = "reprocess_calls", Verb.REPROCESSED
    rest = 3.0  # no AI service transcribes as fast as calls are queued

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

    def act(self, call_id: str) -> None:
        now = timezone.now()
        if jobs.reprocess(call_id, now=now, actor=self.actor).updated_at != now:
            raise Already("is queued already")
        self.note(call_id)

    def rehearse(self, call_id: str) -> str:
        with transaction.atomic():
            self.act(call_id)
            transaction.set_rollback(True)
            return "would be queued"
