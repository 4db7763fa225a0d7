"""What the worker takes for a sign of life, and what for an absent database."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from callcenter.worker.pulse import EVERY, Pulse
from calls.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


def lose_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    with connection.copy().cursor() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend])


def test_silence_grows_until_a_new_heartbeat() -> None:
    pulse, now = Pulse("here"), timezone.now()
    Heartbeat.beat("here", now=now)
    pulse.beat(EVERY)
    Heartbeat.beat("elsewhere", now=now + timedelta(seconds=1))
    pulse.beat(EVERY)
    pulse.beat(EVERY)
    assert pulse.silence == 2 * EVERY

    Heartbeat.beat("here", now=now + timedelta(seconds=2))
    pulse.beat(EVERY)
    assert pulse.silence == 0


def test_a_look_that_hung_says_nothing_about_the_workers() -> None:
    pulse = Pulse("here")
    pulse.beat(3600)
    assert pulse.silence == 2 * EVERY


def test_an_absent_database_is_no_silence_of_the_workers() -> None:
    pulse = Pulse("here")
    pulse.beat(EVERY)
    assert pulse.answers
    lose_the_connection()

    pulse.beat(EVERY)
    assert not pulse.answers
    assert pulse.silence == 0

    pulse.beat(EVERY)
    assert pulse.answers


def test_one_sweep_waits_at_a_time() -> None:
    pulse = Pulse("here")
    pulse.beat(EVERY)
    pulse.beat(EVERY)
    assert OrmQ.objects.count() == 1
