"""/health: is this process fit to be asked, and what of its surroundings works?

503 means that this process cannot store packets and should leave the pool. Whatever else is away,
it goes on taking packets: see docs/watching.md.
"""

import logging
import time
from dataclasses import asdict, dataclass
from datetime import datetime

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.models import Max
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from callcenter.probe import Probe, briefly, use_own_connection
from calls.ingest.batching import writer
from calls.models import Heartbeat
from calls.stats import ai_available, oldest_due

ANSWER_WITHIN = 1.0  # seconds for all parts together
REDIS_WITHIN = 0.5  # seconds
STATEMENT = 1.0  # seconds
BEAT_WITHIN = 30.0  # seconds
OVERDUE = 20.0  # seconds
STUCK = 10.0  # seconds; no transaction of packets takes nearly as long
BEGAN = time.monotonic()

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """What is told to everybody: neither addresses nor names."""

    ok: bool
    words: str
    age_s: float | None = None


Parts = dict[str, Part]
NOT_KNOWN = Part(False, "not known")
DATABASE_AWAY: Parts = {
    "database": Part(False, "does not answer"),
    "worker": NOT_KNOWN,
    "jobs": NOT_KNOWN,
    "ai": NOT_KNOWN,
}
REDIS_AWAY = Part(False, "does not answer: pages hear nothing live, rates of keys are not kept")


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    parts = look()
    fit = parts["process"].ok and parts["database"].ok
    told = {name: _told(part) for name, part in parts.items()}
    answer = {"status": "ok" if fit else "unavailable", "parts": told}
    return JsonResponse(answer, status=200 if fit else 503)


def look() -> Parts:
    """All parts, within `ANSWER_WITHIN` whatever hangs."""
    deadline = time.monotonic() + ANSWER_WITHIN
    for probe in (_database, _redis):
        probe.ask()
    database = _database.answer(within=ANSWER_WITHIN) or DATABASE_AWAY
    redis_ = _redis.answer(within=max(deadline - time.monotonic(), 0.0)) or REDIS_AWAY
    return {"process": _process(), **database, "redis": redis_}


def _told(part: Part) -> dict[str, object]:
    return {name: value for name, value in asdict(part).items() if value is not None}


def _process() -> Part:
    """Its writer may hang on a connection of its own while the database answers others."""
    stuck = writer.busy_s
    if stuck > STUCK:
        return Part(False, f"has waited {stuck:.0f} s for the database to take packets")
    return Part(True, "takes packets", round(time.monotonic() - BEGAN, 1))


def look_at_database() -> Parts:
    use_own_connection()
    connection.close_if_unusable_or_obsolete()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            read_only = cursor.fetchone() == ("on",)
    except Error as error:
        log.warning("the database does not answer: %s", str(error).partition("\n")[0])
        connection.close()
        return DATABASE_AWAY
    found = _figures(now=timezone.now())
    words = "takes no writes: it is a standby or set to read-only" if read_only else "answers"
    return {"database": Part(not read_only, words), **found}


def _figures(*, now: datetime) -> Parts:
    """Locked tables, as during an upgrade, say nothing of the database itself."""
    try:
        with briefly(STATEMENT):
            available = ai_available(now=now)
            return {"worker": _worker(now), "jobs": _jobs(now), "ai": _ai(available)}
    except Error as error:
        log.warning("the figures cannot be read: %s", str(error).partition("\n")[0])
        connection.close()
        return {"worker": NOT_KNOWN, "jobs": NOT_KNOWN, "ai": NOT_KNOWN}


def _worker(now: datetime) -> Part:
    newest = Heartbeat.objects.aggregate(at=Max("at"))["at"]
    if newest is None:
        return Part(False, "none has given a sign of life yet: calls wait")
    age = max((now - newest).total_seconds(), 0.0)
    if age < BEAT_WITHIN:
        return Part(True, "alive", round(age, 1))
    return Part(False, "no sign of life: calls wait", round(age, 1))


def _jobs(now: datetime) -> Part:
    due = oldest_due(now=now)
    if due is None:
        return Part(True, "nothing is due", 0.0)
    age = (now - due).total_seconds()
    words = "the oldest is due" if age < OVERDUE else "the oldest is overdue"
    return Part(age < OVERDUE, words, round(age, 1))


def _ai(available: bool) -> Part:
    return Part(True, "answers") if available else Part(False, "away: calls wait")


def look_at_redis() -> Part:
    try:
        with redis.Redis.from_url(
            settings.REDIS, socket_timeout=REDIS_WITHIN, socket_connect_timeout=REDIS_WITHIN
        ) as client:
            client.ping()
    except redis.RedisError:
        return REDIS_AWAY
    return Part(True, "answers")


_database = Probe(look_at_database, name="health of the database")
_redis = Probe(look_at_redis, name="health of Redis")
