"""The end of a key."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from calls.api.auth import revoke_key
from calls.models import ApiKey


class Command(BaseCommand):
    help = "Revokes an API key; its prefix is the part between the underscores."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prefix")

    def handle(self, *, prefix: str, **_: Any) -> None:
        now = timezone.now()
        key = ApiKey.objects.filter(prefix=prefix.removeprefix("cc_")[:8]).first()
        if key is None:
            known = ", ".join(str(key) for key in ApiKey.objects.live(now=now)[:20]) or "none"
            raise CommandError(f"there is no key with the prefix {prefix}; live keys: {known}")
        if key.revoked_at:
            self.stdout.write(f"{key} was revoked already, {key.revoked_at:%Y-%m-%d %H:%M} UTC")
            return
        revoke_key(key, now=now, actor="command revoke_api_key")
        self.stdout.write(f"revoked {key}")
