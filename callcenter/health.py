"""/health: is this process fit to be asked, and what of its surroundings works?"""

from datetime import datetime

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Max
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from calls.models import Heartbeat
from calls.stats import ai_available

BEAT_WITHIN = 30.0  # seconds


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 while packets can be stored; what else is away is told, but no reason for 503."""
    now = timezone.now()
    try:
        parts = {
            "database": "ok",
            "worker": _worker(now),
            "ai": "ok" if ai_available(now=now) else "away",
        }
    except (DatabaseError, InterfaceError):
        parts = {"database": "away"}
    parts["redis"] = _redis()
    fit = parts["database"] == "ok"
    status = "ok" if fit else "unavailable"
    return JsonResponse({"status": status, "parts": parts}, status=200 if fit else 503)


def _worker(now: datetime) -> str:
    newest = Heartbeat.objects.aggregate(at=Max("at"))["at"]
    if newest is None:
        return "none"
    return "ok" if (now - newest).total_seconds() < BEAT_WITHIN else "silent"


def _redis() -> str:
    try:
        redis.Redis.from_url(settings.REDIS, socket_timeout=0.5, socket_connect_timeout=0.5).ping()
    except redis.RedisError:
        return "away"
    return "ok"
