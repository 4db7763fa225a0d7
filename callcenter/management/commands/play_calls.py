import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from callcenter.embedded import first_run_path
from callcenter.simulator.options import NoAccess, Unfit, add_arguments, find_access, read_wish
from callcenter.simulator.play import play
from callcenter.simulator.tally import Tally
from callcenter.sound.wav import NotAWav
from callcenter.up import greeting


class Command(BaseCommand):
    help = (
        "Plays recorded calls to the system as a PBX would: over HTTP, like Asterisk, like Twilio."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        url = options["url"] or greeting.address()
        kept = first_run_path(settings.DATA_DIR)
        try:
            wish = read_wish(options, os.environ)
            access = find_access(url, options["api_key"], os.environ, kept)
        except (NotAWav, OSError) as error:
            raise CommandError(f"This cannot be played: {error}") from None
        except (NoAccess, Unfit) as error:
            raise CommandError(str(error)) from None
        tally = Tally(say=self._say)
        play(access, wish, tally)
        self._say(tally.table() if wish.dialect == "http" else tally.socket_table())
        if not tally.clean:
            sys.exit(1)

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()
