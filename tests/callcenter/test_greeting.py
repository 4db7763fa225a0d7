"""What the terminal says once everything runs."""

from pathlib import Path

import pytest
from pytest_django import Settings

from callcenter.up.greeting import address, banner


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("calls", "calls")],
)
def test_the_address_is_one_that_a_browser_can_open(
    settings: Settings, host: str, shown: str
) -> None:
    settings.HOST, settings.PORT = host, 8000
    assert address() == f"http://{shown}:8000"


def test_without_first_logins_none_are_shown(tmp_path: Path) -> None:
    assert "API key" not in banner(tmp_path / "first-run.json")
