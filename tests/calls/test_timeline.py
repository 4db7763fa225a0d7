"""The last hour, minute by minute."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from calls import events
from calls.models import Attempt
from calls.stats import ai_figures
from calls.timeline import MINUTES, timeline
from tests.dashboard.outcomes import OVERLOADED, finish_run, said, transcribed_call
from tests.factories import NOW, call_in_progress, ended_call, fresh_id, send

pytestmark = pytest.mark.django_db

AGO = timedelta(minutes=10)
THEN = MINUTES - 11  # the place of that minute


def test_an_empty_hour_is_told_as_such() -> None:
    hour = timeline(now=NOW)
    assert len(hour.minutes) == MINUTES
    assert (hour.minutes[0], hour.minutes[-1]) == (NOW.timestamp() - 59 * 60, NOW.timestamp())
    assert {sum(counts) for counts in hour.calls.values()} == {0}
    assert set(hour.latency_p50) == set(hour.failure_rate) == {None}


def test_calls_are_counted_in_the_minute_they_came_into_a_state() -> None:
    transcribed_call(now=NOW - AGO)
    call_in_progress(now=NOW)
    ended_call(now=NOW - timedelta(hours=2))
    calls = timeline(now=NOW).calls
    assert calls["IN_PROGRESS"][THEN] == calls["IN_PROGRESS"][-1] == 1
    assert calls["COMPLETED"][THEN] == 2  # it ended, and came back from the AI
    assert calls["PROCESSING_AI"][THEN] == 1
    assert sum(sum(counts) for counts in calls.values()) == 5


def test_requests_have_their_rate_and_percentiles() -> None:
    call = finish_run(ended_call(now=NOW - AGO), OVERLOADED, said("yes"), now=NOW - AGO)
    transcribed_call(now=NOW - AGO)
    transcribed_call(now=NOW - AGO)
    answered = Attempt.objects.filter(job__call=call, kind="success").get()
    answered.ended_at = answered.started_at + timedelta(seconds=11.5)
    answered.save(update_fields=["ended_at"])
    hour = timeline(now=NOW)
    assert hour.failure_rate[THEN] == 25.0
    assert hour.latency_p50[THEN] == pytest.approx(1.5)
    assert hour.latency_p95[THEN] == pytest.approx(10.5)
    assert hour.failure_rate[-1] is None
    figures = ai_figures(now=NOW)
    assert (figures.attempts, figures.failures) == (4, 1)
    assert figures.median_s == pytest.approx(1.5)


def counted_since(moment: datetime) -> int:
    this = int(moment.timestamp()) // 60
    return sum(n or 0 for n in events.packets_by_minute([this, this + 1]))


def test_a_minute_before_redis_began_is_not_known() -> None:
    this = int(timezone.now().timestamp()) // 60
    assert events.packets_by_minute([this - 1_000_000, this + 1]) == [None, 0]


@pytest.mark.django_db(transaction=True)
def test_packets_are_counted_by_the_minute() -> None:
    now = timezone.now()
    before = counted_since(now)
    send(fresh_id(), *range(30), now=now)
    events.settle()
    assert counted_since(now) - before == 30
    assert timeline(now=timezone.now()).packets_per_s[-1] is not None


def test_without_redis_the_packets_are_not_known(settings: Settings) -> None:
    settings.REDIS = "unix:///nowhere/redis.sock"
    assert set(timeline(now=NOW).packets_per_s) == {None}
    assert events.packets_per_second(now=NOW) is None


def test_it_reads_nothing_but_the_hour() -> None:
    with CaptureQueriesContext(connection) as queries:
        timeline(now=NOW)
    assert len(queries) == 3
    for query in queries.captured_queries:
        assert ">= '2026-02-03 11:01:00" in query["sql"]
