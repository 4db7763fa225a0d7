"""The schedule of retries."""

import random

import pytest

from calls.ai import retry


@pytest.mark.parametrize(("failures", "least"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32)])
def test_the_nth_failure_waits_two_to_the_n_seconds_and_a_jitter(failures: int, least: int) -> None:
    drawn = [
        retry.delay(failures, max_retries=5, retry_after=None, random=random.Random(n).random)
        for n in range(200)
    ]
    seconds = [wait for wait in drawn if wait is not None]
    assert len(seconds) == 200
    assert least <= min(seconds) < least + 0.1
    assert least + 0.9 < max(seconds) < least + 1


def test_after_the_last_retry_there_is_none() -> None:
    assert retry.delay(6, max_retries=5, retry_after=None, random=lambda: 0.0) is None


@pytest.mark.parametrize(("asked", "waits"), [(1.0, 2.5), (30.0, 30.0), (9999.0, 300.0)])
def test_retry_after_is_kept_where_it_is_longer_and_bounded(asked: float, waits: float) -> None:
    assert retry.delay(1, max_retries=5, retry_after=asked, random=lambda: 0.5) == waits


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    assert retry.throttled(7.0, random=lambda: 0.25) == 7.25
    assert retry.throttled(9999.0, random=lambda: 0.25) == 300.25


def test_ten_thousand_jobs_ask_about_four_thirds_times_each() -> None:
    draw = random.Random(20260203)
    requests = failed = 0
    for _ in range(10_000):
        failures = 0
        while True:
            requests += 1
            if draw.random() >= 0.25:
                break
            failures += 1
            if retry.delay(failures, max_retries=5, retry_after=None, random=draw.random) is None:
                failed += 1
                break
    assert abs(requests - 13_333) <= 200
    assert failed <= 10  # 10,000 * 0.25 ** 6 = 2.4 expected
