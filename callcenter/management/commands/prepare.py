from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from callcenter import embedded, first_run
from callcenter.embedded.engines import NotReady, Urls, wait_ready


class Command(BaseCommand):
    help = "Waits for the database and Redis, migrates, and creates the first accounts once."

    def handle(self, *_args: Any, **_options: Any) -> None:
        database = settings.DATABASE_URL or embedded.database_url(settings.DATA_DIR)
        try:
            wait_ready(Urls(database, settings.REDIS), settings.DATA_DIR)
        except NotReady as error:
            raise CommandError(str(error)) from None
        call_command("migrate", verbosity=0, interactive=False)
        call_command("clearsessions")
        kept = embedded.first_run_path(settings.DATA_DIR)
        if message := first_run.ensure(kept, now=timezone.now()):
            self.stdout.write(message)
