"""The production setting as a process reads it: what it refuses and what it promises."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from callcenter.embedded.engines import Urls
from tests.processes import web

PRODUCTION = {
    "DATABASE_URL": "postgresql://callcenter:secret@db.example.com/callcenter",
    "REDIS_URL": "redis://redis.example.com",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "ALLOWED_HOSTS": "calls.example.com",
}
ELSEWHERE = {"Host": "calls.example.com"}


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


@pytest.fixture(scope="module")
def production(
    engines: Urls, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A web process of the production setting behind one proxy; its plain address."""
    given = {"ALLOWED_HOSTS": "calls.example.com,127.0.0.1", "TRUSTED_PROXIES": "1"}
    with web(urls=engines, home=tmp_path_factory.mktemp("web"), **given) as url:
        yield url


def get(url: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(url, headers=named, trust_env=False)


@pytest.mark.processes
class TestServing:
    def test_a_page_asked_for_in_the_clear_is_to_be_had_over_https(self, production: str) -> None:
        answer = get(f"{production}/login/?next=/", **ELSEWHERE)
        assert answer.status_code == 301
        assert answer.headers["location"] == "https://calls.example.com/login/?next=/"
        assert "set-cookie" not in answer.headers

    def test_over_https_the_cookies_are_secure_and_browsers_are_told_to_stay(
        self, production: str
    ) -> None:
        answer = get(f"{production}/login/", X_Forwarded_Proto="https", **ELSEWHERE)
        assert answer.status_code == 200
        assert "; Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"

    def test_pages_may_be_framed_by_nobody_and_name_no_page_to_others(
        self, production: str
    ) -> None:
        headers = get(f"{production}/login/", X_Forwarded_Proto="https", **ELSEWHERE).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]

    def test_programs_are_not_sent_elsewhere(self, production: str) -> None:
        assert get(f"{production}/health", **ELSEWHERE).status_code == 200
        assert get(f"{production}/v1/stats", **ELSEWHERE).status_code == 401

    def test_on_the_machine_itself_people_sign_in_without_https(self, production: str) -> None:
        answer = get(f"{production}/login/")
        assert answer.status_code == 200
        assert "; Secure" not in answer.headers["set-cookie"]
        assert "; HttpOnly" in answer.headers["set-cookie"]

    def test_a_strange_host_is_led_nowhere(self, production: str) -> None:
        assert get(f"{production}/login/", Host="evil.example").status_code == 400


@pytest.mark.processes
def test_without_trusted_proxies_nobody_is_believed_to_come_over_https(
    engines: Urls, django_db_setup: None, tmp_path: Path
) -> None:
    with web(urls=engines, home=tmp_path, ALLOWED_HOSTS="calls.example.com,127.0.0.1") as url:
        answer = get(f"{url}/login/", X_Forwarded_Proto="https", **ELSEWHERE)
    assert answer.status_code == 301
