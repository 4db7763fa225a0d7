"""The Redis in which processes remember together what was announced and counted."""

import redis
from django.conf import settings

TIMEOUT = 0.3  # seconds; a frozen Redis must not hold anybody up


def connect() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
    )
