"""What operators watch, read from the database; nothing here grows with the number of calls.

Big counts stop at a bound, behind which the planner's statistics must do; everything else follows
an index over what is open, or looks at the last minutes. Each group is read on its own, within
`STATEMENT` seconds a statement, so that one that fails leaves the others.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import Error, connection
from django.db.models import Count, Max, QuerySet
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from callcenter.health import BEAT_WITHIN
from callcenter.probe import briefly, use_own_connection
from calls import events, stats
from calls.models import AiService, Alert, Attempt, Call, Heartbeat, Job
from calls.models.aggregates import Percentile
from calls.models.alert import AlertKind
from calls.models.job import Verdict
from calls.states import State

STATEMENT = 0.5  # seconds
ALL = 2.0  # seconds; groups that have not been begun by then are left out
COUNTED = 10_000  # calls of a state; above, the planner's statistics must do
LONGEST = 100_000  # calls of a backlog that are counted
RECENT = timedelta(minutes=5)
QUANTILES = (0.5, 0.95)
KINDS = [kind for kind in Verdict.values if kind != Verdict.RUNNING]

ESTIMATE = """
SELECT value, greatest(table_.reltuples, 0) * frequency
FROM pg_class AS table_
JOIN pg_stats AS known ON known.schemaname = current_schema()
    AND known.tablename = table_.relname AND known.attname = 'state',
    unnest(known.most_common_vals::text::text[], known.most_common_freqs) AS top (value, frequency)
WHERE table_.oid = 'calls_call'::regclass
"""
LAST_NUMBER = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(%s, 'id')), 0)"
DATABASE = """
SELECT pg_database_size(current_database()), count(*), current_setting('max_connections')::int
FROM pg_stat_activity WHERE datname = current_database()
"""

log = logging.getLogger(__name__)

Group = Callable[[datetime], Iterable[Metric]]


def read() -> list[Metric]:
    """All groups that can be read now, and how that went."""
    use_own_connection()
    began, now = time.monotonic(), timezone.now()
    up = _answers()
    found, failed = [], 0
    for group in GROUPS:
        metrics = _read(group, now) if up and time.monotonic() - began < ALL else None
        found += metrics or []
        failed += metrics is None
    connection.close()
    seconds = round(time.monotonic() - began, 4)
    return [*found, *surroundings(now), *reading(up=up, failed=failed, seconds=seconds)]


def _answers() -> bool:
    try:
        connection.ensure_connection()
    except Error as error:
        log.warning("the database does not answer: %s", str(error).partition("\n")[0])
        return False
    return True


def _read(group: Group, now: datetime) -> list[Metric] | None:
    try:
        with briefly(STATEMENT):
            return list(group(now))
    except Error as error:
        log.warning("%s cannot be told: %s", group.__name__, str(error).partition("\n")[0])
        connection.close()
        return None


def reading(*, up: bool, failed: int, seconds: float) -> Iterator[Metric]:
    yield gauge("database_up", "Whether the database answers in time (1) or not (0).", up)
    yield gauge("metrics_unreadable", "Groups of figures that could not be read this time.", failed)
    yield gauge("metrics_read_seconds", "How long reading these figures took.", seconds)


def gauge(name: str, words: str, value: float | None) -> Metric:
    """Without a value the series is absent, which says "not known" better than any number."""
    return GaugeMetricFamily(f"callcenter_{name}", words, value=value)


def gauges(name: str, words: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"callcenter_{name}", words, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def _counted(rows: "QuerySet[Call] | QuerySet[Job]", most: int) -> int:
    return rows.order_by()[: most + 1].count()


def calls(now: datetime) -> Iterator[Metric]:
    counts = {state: _counted(Call.objects.filter(state=state), COUNTED) for state in State.values}
    if max(counts.values()) > COUNTED:
        with connection.cursor() as cursor:
            cursor.execute(ESTIMATE)
            guessed = dict(cursor.fetchall())
        for state, count in counts.items():
            if count > COUNTED:
                counts[state] = max(round(guessed.get(state, 0)), count)
    words = f"Calls by state; above {COUNTED} estimated from the planner's statistics."
    yield gauges("calls", words, "state", counts.items())
    words = "Calls ever begun: the number last given to one, of which a few are left out."
    yield CounterMetricFamily("callcenter_calls_begun", words, value=_last_number("calls_call"))
    backlog = _counted(Call.objects.waiting_for_outcome(), LONGEST)
    words = f"Calls that are over and wait for the outcome of their AI work, up to {LONGEST}."
    yield gauge("backlog_calls", words, backlog)


def _last_number(table: str) -> int:
    """A sequence never goes back, whatever is deleted."""
    with connection.cursor() as cursor:
        cursor.execute(LAST_NUMBER, [table])
        return int(cursor.fetchone()[0])


def jobs(now: datetime) -> Iterator[Metric]:
    due = stats.oldest_due(now=now)
    age = (now - due).total_seconds() if due else 0.0
    words = "How long the oldest due job has waited for a worker; 0 when none is due."
    yield gauge("oldest_due_job_age_seconds", words, age)
    words = f"Jobs whose time has come and that nobody holds, up to {LONGEST}."
    yield gauge("jobs_due", words, _counted(Job.objects.due(now=now), LONGEST))
    held = Job.objects.filter(token__isnull=False, leased_until__gte=now)
    yield gauge("jobs_running", "Jobs that a worker holds.", _counted(held, LONGEST))
    words = "Jobs whose worker died and that nobody has taken back yet."
    yield gauge("jobs_dead", words, _counted(Job.objects.dead(now=now), LONGEST))


def packets(now: datetime) -> Iterator[Metric]:
    missing = stats.missing_share(now=now)
    words = "Share of the packets that never came, of the calls begun in the last hour; 0 to 1."
    yield gauge("missing_packets_ratio", words, missing and max(missing, 0.0))


def ai_service(now: datetime) -> Iterator[Metric]:
    service = AiService.objects.first() or AiService()
    away_since = service.confirmed_at
    outage = max((now - away_since).total_seconds(), 0.0) if away_since else 0.0
    available = service.is_available(now=now)
    yield gauge("ai_available", "Whether the AI service answers (1) or is away (0).", available)
    words = "Whether nothing but probes goes out to the AI service (1)."
    yield gauge("ai_breaker_open", words, service.is_open)
    words = "How long the AI service has been away; 0 while it is not."
    yield gauge("ai_outage_seconds", words, outage)


def ai_requests(now: datetime) -> Iterator[Metric]:
    words = "Requests ever made to the AI service about calls: the number last given to one."
    yield CounterMetricFamily("callcenter_ai_requests", words, value=_last_number("calls_attempt"))
    recent = Attempt.objects.filter(ended_at__gte=now - RECENT).order_by()
    counted = dict(recent.values_list("kind").annotate(Count("pk")))
    words = "Requests to the AI service that ended in the last five minutes, by what came of them."
    yield gauges("ai_requests_recent", words, "kind", [(k, counted.get(k, 0)) for k in KINDS])
    took = recent.filter(kind=Verdict.SUCCESS).aggregate(
        **{f"p{share}": Percentile(stats.TOOK, share=share) for share in QUANTILES}
    )
    words = "How long the successes of the last five minutes took."
    quantiles = [(str(share), took[f"p{share}"]) for share in QUANTILES]
    known = [(share, seconds) for share, seconds in quantiles if seconds is not None]
    yield gauges("ai_answer_seconds", words, "quantile", known)


def alerts(now: datetime) -> Iterator[Metric]:
    counted = dict(Alert.objects.open().order_by().values_list("kind").annotate(Count("pk")))
    words = "Alerts on the board that are neither over nor acknowledged."
    yield gauges("alerts_open", words, "kind", [(k, counted.get(k, 0)) for k in AlertKind.values])


def workers(now: datetime) -> Iterator[Metric]:
    newest = Heartbeat.objects.aggregate(at=Max("at"))["at"]
    age = max((now - newest).total_seconds(), 0.0) if newest else None
    words = "Since the newest heartbeat of any worker; absent until there was one."
    yield gauge("worker_heartbeat_age_seconds", words, age)
    alive = Heartbeat.objects.filter(at__gte=now - timedelta(seconds=BEAT_WITHIN)).count()
    yield gauge("workers", f"Workers with a heartbeat in the last {BEAT_WITHIN:g} s.", alive)


def database(now: datetime) -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(DATABASE)
        size, connections, most = cursor.fetchone()
    yield gauge("database_size_bytes", "What the database takes on its disk.", size)
    yield gauge("database_connections", "Connections to the database.", connections)
    yield gauge("database_connections_max", "Connections that the server allows.", most)


GROUPS: tuple[Group, ...] = (
    calls,
    jobs,
    packets,
    ai_service,
    ai_requests,
    alerts,
    workers,
    database,
)


def surroundings(now: datetime) -> Iterator[Metric]:
    """What is not in the database."""
    rate = events.packets_per_second(now=now)
    yield gauge("redis_up", "Whether Redis answers (1) or not (0).", rate is not None)
    words = "Packets stored a second, over the last ten seconds and all processes; from Redis."
    yield gauge("packets_per_second", words, rate)
    free, size = _disk(settings.DATA_DIR)
    words = "Room left on the disk with DATA_DIR; recordings are there, unless STORAGE_URL is set."
    yield gauge("data_disk_free_bytes", words, free)
    yield gauge("data_disk_size_bytes", "Size of the disk with DATA_DIR.", size)


def _disk(place: Path) -> tuple[int, int] | tuple[None, None]:
    """Bytes free and in all, where `place` is or will be made."""
    try:
        disk = shutil.disk_usage(next(path for path in (place, *place.parents) if path.exists()))
    except OSError as error:
        log.warning("the disk of %s cannot be told: %s", place, error)
        return None, None
    return disk.free, disk.total
