from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from callcenter.speech.config import SpeechConfig
from callcenter.speech.server import serve
from callcenter.speech.service import SpeechService


class Command(BaseCommand):
    help = "Runs the speech service: an AI service that recognises speech and fails on purpose."
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        config = SpeechConfig(
            failure_rate=settings.AI_FAILURE_RATE,
            latency=settings.AI_LATENCY,
            engine=settings.SPEECH_ENGINE,
        )
        serve(SpeechService(config), settings.HOST, settings.SPEECH_PORT)
