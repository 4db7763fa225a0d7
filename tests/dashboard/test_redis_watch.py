"""Whether announcements can come through."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pytest_django import Settings
from redis import RedisError

from callcenter import leash
from callcenter.embedded import redis_url
from callcenter.embedded.engines import command, ping
from dashboard.redis_watch import RedisWatch
from tests.waiting import until

NAME = "the watch under test"


@contextmanager
def redis(home: Path) -> Iterator[None]:
    process = leash.spawn(command("redis", home))
    until(lambda: answers(redis_url(home)), 10)
    yield
    process.terminate()
    process.wait(10)


def answers(url: str) -> bool:
    with suppress(RedisError):
        ping(url)
        return True
    return False


def test_every_absence_is_told_however_short(settings: Settings, tmp_path: Path) -> None:
    settings.REDIS = redis_url(tmp_path)
    told: list[bool] = []
    watch = RedisWatch(NAME)

    def listener() -> None:
        told.append(watch.up)

    with watch.heard_by(listener):
        until(lambda: told == [False], 5)
        with redis(tmp_path):
            until(lambda: told == [False, True], 5)
        with redis(tmp_path):
            until(lambda: told == [False, True, False, True], 5)
    until(nobody_watches, 5)


@pytest.mark.usefixtures("engines")
def test_who_leaves_is_told_nothing_more() -> None:
    watch = RedisWatch(NAME)
    with watch.heard_by(print):
        assert not nobody_watches()
    until(nobody_watches, 5)
    assert watch.up


def nobody_watches() -> bool:
    return NAME not in {thread.name for thread in threading.enumerate()}
