from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from callcenter.up.start import up


class Command(BaseCommand):
    help = "Starts the whole system and keeps it running until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="leave the demo PBX out")
        parser.add_argument(
            "--with-parent",
            action="store_true",
            help="end when the process that started this one ends, however it does",
        )

    def handle(self, *, no_demo: bool, with_parent: bool, **_: Any) -> None:
        up(demo=not no_demo, with_parent=with_parent)
