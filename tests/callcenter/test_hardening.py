"""The production setting as a process reads it: what stops the start, and what Django says."""

import os
import secrets
import subprocess
import sys

import pytest
from django.conf import settings

PRODUCTION = {
    "DATABASE_URL": "postgresql://callcenter:secret@db.example.com/callcenter",
    "REDIS_URL": "redis://redis.example.com",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "ALLOWED_HOSTS": "calls.example.com",
}


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-W", "ignore", "manage.py", "check", "--deploy"]
    return subprocess.run(
        [*words, "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_no_secret_that_is_set_stands_in_a_line_of_the_log() -> None:
    names = ("SECRET_KEY", "AI_API_KEY", "TWILIO_AUTH_TOKEN")
    kept = {name: secrets.token_hex(32) for name in names}
    words = " and ".join(kept.values())
    code = f"import django, logging; django.setup(); logging.warning({words!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "callcenter.settings"}
        | PRODUCTION
        | kept,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert " and " in done.stderr
    assert not [name for name, value in kept.items() if value in done.stderr]


def test_djangos_own_checks_find_nothing_in_the_production_setting() -> None:
    done = check(**PRODUCTION)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY: a production start"),
        ({"TRUSTED_PROXIES": "many"}, "TRUSTED_PROXIES: expected a whole number from 0 to 10"),
        ({"ALLOWED_HOSTS": "https://calls.example.com"}, "ALLOWED_HOSTS: "),
        ({"CSRF_TRUSTED_ORIGINS": "calls.example.com"}, "CSRF_TRUSTED_ORIGINS: "),
        ({"SECRET_KEY_FILE": "/run/secrets/secret_key"}, "SECRET_KEY: both SECRET_KEY and"),
    ],
)
def test_what_cannot_be_read_stops_the_start_with_one_line(
    changed: dict[str, str], said: str
) -> None:
    done = check(**PRODUCTION | changed)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
