"""A key for a program, shown once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from calls.api.auth import create_key
from calls.durations import duration
from calls.models.access import Scope

LONGEST = timedelta(days=3650)


class Command(BaseCommand):
    help = "Creates an API key and shows it once; only a digest of it is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="whose key it is, for people")
        parser.add_argument(
            "--scope", action="append", required=True, choices=Scope.values, help="may be repeated"
        )
        parser.add_argument("--rate", type=int, help="packets a second; no limit unless given")
        parser.add_argument(
            "--expires", metavar="90d", help="how long it is good for; until revoked unless given"
        )

    def handle(
        self, *, name: str, scope: list[str], rate: int | None, expires: str | None, **_: Any
    ) -> None:
        if not name.strip() or len(name) > 100:
            raise CommandError("NAME has 1 to 100 characters")
        if rate is not None and not 1 <= rate <= 1_000_000:
            raise CommandError("--rate is a number of packets a second from 1 to 1000000")
        now = timezone.now()
        key, secret = create_key(
            name=name,
            scopes=scope,
            rate=rate,
            now=now,
            expires_at=now + _span(expires) if expires else None,
            actor="command create_api_key",
        )
        self.stdout.write(secret)
        self.stderr.write(f"created {key} with {', '.join(key.scopes)}; it is not shown again")


def _span(words: str) -> timedelta:
    try:
        span = duration(words)
    except ValueError as error:
        raise CommandError(f"--expires: {error}") from None
    if not span or span > LONGEST:
        raise CommandError(f"--expires is more than 0 and at most {LONGEST.days}d")
    return span
