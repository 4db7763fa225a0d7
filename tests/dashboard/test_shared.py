"""What many want at once is made once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from dashboard.shared import Shared


class Maker:
    """Makes 1, 2, 3 …, each as soon as it may."""

    def __init__(self) -> None:
        self.made = 0
        self.started = threading.Event()
        self.may_finish = threading.Event()
        self.may_finish.set()

    def __call__(self) -> int:
        self.started.set()
        assert self.may_finish.wait(5)
        self.made += 1
        return self.made


def test_a_value_that_is_fresh_enough_is_not_made_again() -> None:
    shared, make = Shared(size=2), Maker()
    since = time.monotonic()
    assert [shared.get("key", make, since=since) for _ in range(3)] == [1, 1, 1]


def test_a_value_that_is_too_old_is_made_again() -> None:
    shared, make = Shared(size=2), Maker()
    assert [shared.get("key", make, since=time.monotonic()) for _ in range(3)] == [1, 2, 3]


def test_a_making_that_began_too_early_does_not_count() -> None:
    shared, make = Shared(size=2), Maker()
    make.may_finish.clear()
    with ThreadPoolExecutor() as pool:
        early = pool.submit(shared.get, "key", make, since=time.monotonic())
        assert make.started.wait(5)
        late = pool.submit(shared.get, "key", make, since=time.monotonic())
        make.may_finish.set()
        assert (early.result(5), late.result(5)) == (1, 2)


def test_many_who_wait_share_one_making() -> None:
    shared, make = Shared(size=2), Maker()
    make.may_finish.clear()
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(shared.get, "key", make, since=time.monotonic())
        assert make.started.wait(5)
        since = time.monotonic()
        others = [pool.submit(shared.get, "key", make, since=since) for _ in range(19)]
        make.may_finish.set()
        assert first.result(5) == 1
        assert {other.result(5) for other in others} == {2}


def test_a_making_that_fails_leaves_the_next_to_try_again() -> None:
    shared, make = Shared(size=2), Maker()
    since = time.monotonic()
    for _ in range(2):
        try:
            shared.get("key", lambda: 1 / 0, since=since)
        except ZeroDivisionError:
            continue
        raise AssertionError
    assert shared.get("key", make, since=since) == 1


def test_the_key_that_was_asked_for_longest_ago_is_forgotten() -> None:
    shared, make = Shared(size=2), Maker()
    since = time.monotonic()
    made = [shared.get(key, make, since=since) for key in ("a", "b", "a", "c", "a", "b")]
    assert made == [1, 2, 1, 3, 1, 4]
