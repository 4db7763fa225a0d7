"""Commands over many calls: which ones, how far it has come, what it came to."""

import getpass
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from tqdm import tqdm

from calls.durations import duration
from calls.models import Call
from calls.models.audit import Verb
from calls.models.call import CallQuerySet
from calls.records import audit, many
from calls.records.many import Already, Tally
from calls.records.storage import StorageFailed
from calls.states import State

SAY_EVERY = 5.0  # seconds, where nobody sees a bar
NICENESS = 10  # the web and the workers come first
INTERRUPTED, UNHEARD = 130, 141  # what a shell says of SIGINT and SIGPIPE
USAGE = 2


class ManyCalls(BaseCommand):
    """Says what it does through `act` and `rehearse`, and to which calls through `select`."""

    done = "done"
    """What became of a call that was not refused."""
    name: str
    verb: Verb
    """What the audit says that was done."""
    rest = 1.0
    """Times as long as a call took, the database is left to live calls."""

    def run_from_argv(self, argv: list[str]) -> None:
        os.nice(NICENESS)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        try:
            super().run_from_argv(argv)
        except BrokenPipeError:  # `| head` has seen enough; what is done is done
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(UNHEARD)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("call_ids", nargs="*", metavar="CALL_ID")
        parser.add_argument("--limit", type=whole, metavar="N", help="at most so many calls")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, only")

    def select(self, options: dict[str, Any]) -> CallQuerySet | None:
        """The calls that fit the options; None where they select nothing."""
        raise NotImplementedError

    def prepare(self) -> None:
        """What is done before the first call, but for a rehearsal."""

    def act(self, call_id: str) -> object:
        """Does it and notes it; raises `Already`, what `many.REFUSALS` names, `StorageFailed`."""
        raise NotImplementedError

    def rehearse(self, call_id: str) -> str:
        """What would become of a call, in words; raises what `act` would, and does nothing."""
        raise NotImplementedError

    @cached_property
    def actor(self) -> str:
        """Who the journal and the audit say it was."""
        try:
            return f"command {self.name} ({getpass.getuser()})"
        except (KeyError, OSError):  # a container may run under a number without a name
            return f"command {self.name} (user {os.getuid()})"

    def note(self, call_id: str) -> None:
        audit.record(actor=self.actor, verb=self.verb, call_id=call_id, now=timezone.now())

    def handle(self, *_: Any, **options: Any) -> None:
        tally = Tally()
        would = "would be " if options["dry_run"] else ""
        try:
            self._go_through(options, tally)
        except StorageFailed as error:
            self.stdout.write(tally.words(self.done))
            raise CommandError(f"stopped: {error}") from None
        except KeyboardInterrupt:
            self.stdout.write(f"interrupted; {tally.words(would + self.done, would + 'refused')}")
            sys.exit(INTERRUPTED)
        self.stdout.write(tally.words(would + self.done, would + "refused"))
        if tally.refused:
            sys.exit(1)

    def _go_through(self, options: dict[str, Any], tally: Tally) -> None:
        call_ids, total = self._chosen(options)
        if options["dry_run"]:
            for call_id, why in many.each(call_ids, self._rehearse, tally):
                if why:
                    self.stdout.write(f"{call_id}: would be refused: {why}")
            return
        self.prepare()
        with Progress(total) as progress:
            began = time.monotonic()
            for _ in many.each(call_ids, self.act, tally):
                progress.step()
                time.sleep(self.rest * (time.monotonic() - began))
                began = time.monotonic()

    def _rehearse(self, call_id: str) -> None:
        try:
            words = self.rehearse(call_id)
        except Already as already:
            self.stdout.write(f"{call_id}: {already}")
            raise
        self.stdout.write(f"{call_id}: {words}")

    def _chosen(self, options: dict[str, Any]) -> tuple[Iterable[str], int]:
        given, fitting, limit = options["call_ids"], self.select(options), options["limit"]
        if given and fitting is not None:
            raise CommandError("give call ids or filters, not both", returncode=USAGE)
        if given:
            named = list(dict.fromkeys(given))[:limit]
            return named, len(named)
        if fitting is None:
            raise CommandError(
                "nothing is selected: give call ids or filters (see --help)", returncode=USAGE
            )
        total = fitting.count()
        return many.ids(fitting, limit=limit), total if limit is None else min(total, limit)


class Progress:
    """A bar with rate and time left on a terminal, else a line now and then."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._began = self._said = time.monotonic()
        tqdm.monitor_interval = 0  # a thread that a Ctrl-C at the very end would meet
        shown = sys.stderr.isatty()
        self._bar = tqdm(total=total, unit=" calls", miniters=1, disable=not shown)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def step(self) -> None:
        self._done += 1
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._said >= SAY_EVERY:
            self._said = now
            rate = self._done / (now - self._began)
            left = timedelta(seconds=round((self._total - self._done) / rate))
            words = f"{self._done:,} of {self._total:,} calls, {rate:,.0f}/s, {left} left"
            print(words, file=sys.stderr, flush=True)


def in_state(calls: CallQuerySet, state: str | None) -> CallQuerySet:
    """Those in the state; without one, those that have ended and whose AI work is not under way."""
    return calls.filter(state__in=[state] if state else [State.COMPLETED, State.FAILED])


def everything() -> CallQuerySet:
    return Call.objects.all()


def whole(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw[:12]) <= 10**9:
        raise ArgumentTypeError("expected a whole number from 1")
    return int(raw)


def age(raw: str) -> timedelta:
    try:
        length = duration(raw)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if length is None:
        raise ArgumentTypeError("expected a duration such as 30d, 12h or 0")
    return length


def moment(raw: str) -> datetime:
    """A date or a time in ISO 8601, UTC unless it says otherwise."""
    try:
        day = parse_date(raw)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(raw)
    except ValueError:
        found = None
    if found is None:
        raise ArgumentTypeError("expected a date or a time such as 2026-02-03 or 2026-02-03T14:00Z")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
