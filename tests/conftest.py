"""Fixtures for all tests. The engines' addresses are set by `tests/engines.py`."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from callcenter.embedded.engines import Urls, serving
from calls import events


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole processes and of browsers never run beside each other."""
    for item in items:
        if any(item.iter_markers("processes")) or any(item.iter_markers("browser")):
            item.add_marker(pytest.mark.xdist_group("processes"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """The tables are emptied after a test; who still reads them would be in the way."""
    events.settle()


@pytest.fixture(scope="session", autouse=True)
def plain_http() -> None:
    """Django's test client speaks it to a host of no machine, where DATABASE_URL is given too."""
    settings.PRODUCTION = False


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
