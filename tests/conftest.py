"""Fixtures for all tests. The engines' addresses are set by `tests/engines.py`."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import TransactionTestCase

from callcenter.embedded.engines import Urls, serving
from callcenter.static_files import StaticFiles
from calls import events
from tests.emptying import empty_tables


def pytest_configure() -> None:
    """Commands under test are interrupted, though a shell may have started us in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole processes run one after the other, in three rows."""
    for item in items:
        if any(item.iter_markers("processes")):
            folder = item.path.parent.name
            row = folder if folder in {"browser", "concurrency"} else "processes"
            item.add_marker(pytest.mark.xdist_group(row))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """The tables are emptied after a test; who still reads them would be in the way."""
    events.settle()


@pytest.fixture(scope="session", autouse=True)
def plain_http() -> None:
    """Django's test client speaks it to a host of no machine, where DATABASE_URL is given too."""
    settings.PRODUCTION = False


@pytest.fixture(scope="session", autouse=True)
def what_every_test_would_do_again() -> None:
    """Making permissions anew after a test, and looking for static files for each client."""
    look, found = StaticFiles.add_files_from_finders, dict[str, Any]()

    def remember(self: StaticFiles) -> None:
        if not found:
            look(self)
            found.update(self.files)
        self.files.update(found)

    StaticFiles.add_files_from_finders = remember
    TransactionTestCase._fixture_teardown = empty_tables  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def engines() -> Iterator[Urls]:
    """PostgreSQL and Redis, started once a run unless DATABASE_URL and REDIS_URL are given."""
    with serving(settings.DATA_DIR, settings.DATABASE_URL, settings.REDIS_URL) as urls:
        yield urls


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, engines: Urls
) -> None:
    """The first test that wants the database starts the engines."""
