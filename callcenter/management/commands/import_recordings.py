import asyncio
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from callcenter.embedded import first_run_path
from callcenter.importing.recordings import import_all
from callcenter.simulator.line import Access, Line
from callcenter.simulator.options import KEY, NoAccess, find_access
from callcenter.simulator.tally import Tally
from callcenter.up import greeting

INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Sends finished recordings (WAV, mono or stereo, 8 to 48 kHz) as calls, over HTTP. May be "
        "interrupted and run again: nothing is stored twice."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
        parser.add_argument("--url", metavar="U", help="of the system; default: by HOST and PORT")
        parser.add_argument("--api-key", metavar="K", help=f"default: {KEY}, then the first run's")

    def handle(self, *_args: Any, **options: Any) -> None:
        url = options["url"] or greeting.address()
        try:
            access = find_access(
                url, options["api_key"], os.environ, first_run_path(settings.DATA_DIR)
            )
        except NoAccess as error:
            raise CommandError(str(error)) from None
        tally = Tally(say=self._say)
        try:
            asyncio.run(_import(access, options["files"], tally))
        except KeyboardInterrupt:
            self._say("interrupted; run it again to go on")
            sys.exit(INTERRUPTED)
        self._say(tally.table())
        if not tally.clean:
            sys.exit(1)

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()


async def _import(access: Access, files: Sequence[Path], tally: Tally) -> None:
    async with Line(access, tally) as line:
        await import_all(line, files)
