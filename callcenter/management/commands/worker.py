from typing import Any

from django.core.management.base import BaseCommand

from callcenter.worker import watch


class Command(BaseCommand):
    help = "Runs the workers (the django-q2 cluster) and starts them again when one of them dies."

    def handle(self, *_args: Any, **_options: Any) -> None:
        watch.run()
