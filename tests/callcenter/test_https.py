"""A web process in the production setting: what is answered in the clear, and what is not."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from callcenter.embedded.engines import Urls
from tests.processes import web

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

ELSEWHERE = {"Host": "calls.example.com"}


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


def test_a_page_asked_for_in_the_clear_is_to_be_had_over_https(production: str) -> None:
    answer = get(f"{production}/login/?next=/", **ELSEWHERE)
    assert answer.status_code == 301
    assert answer.headers["location"] == "https://calls.example.com/login/?next=/"
    assert "set-cookie" not in answer.headers


def test_over_https_the_cookies_are_secure_and_browsers_are_told_to_stay(production: str) -> None:
    answer = get(f"{production}/login/", X_Forwarded_Proto="https", **ELSEWHERE)
    assert answer.status_code == 200
    assert "; Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_pages_may_be_framed_by_nobody_and_name_no_page_to_others(production: str) -> None:
    headers = get(f"{production}/login/", X_Forwarded_Proto="https", **ELSEWHERE).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_programs_are_not_sent_elsewhere(production: str) -> None:
    assert get(f"{production}/health", **ELSEWHERE).status_code == 200
    assert get(f"{production}/v1/stats", **ELSEWHERE).status_code == 401


def test_on_the_machine_itself_people_sign_in_without_https(production: str) -> None:
    answer = get(f"{production}/login/")
    assert answer.status_code == 200
    assert "; Secure" not in answer.headers["set-cookie"]
    assert "; HttpOnly" in answer.headers["set-cookie"]


def test_a_strange_host_is_led_nowhere(production: str) -> None:
    assert get(f"{production}/login/", Host="evil.example").status_code == 400


def test_without_trusted_proxies_nobody_is_believed_to_come_over_https(
    engines: Urls, django_db_setup: None, tmp_path: Path
) -> None:
    with web(urls=engines, home=tmp_path, ALLOWED_HOSTS="calls.example.com,127.0.0.1") as url:
        answer = get(f"{url}/login/", X_Forwarded_Proto="https", **ELSEWHERE)
    assert answer.status_code == 301
