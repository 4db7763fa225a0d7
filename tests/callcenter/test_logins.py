"""Guessing at passwords: who has to wait, for how long, and who has not."""

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from callcenter.logins import address
from tests.factories import api_key

pytestmark = pytest.mark.django_db

RIGHT, WRONG = "correct horse battery", "wrong"


@pytest.fixture(autouse=True)
def anna() -> User:
    return User.objects.create_user("anna", password=RIGHT, is_staff=True)


def sign_in(
    password: str, *, name: str = "anna", path: str = "/login/", **headers: Any
) -> HttpResponse:
    form = {"username": name, "password": password}
    return Client(**headers).post(path, form)  # type: ignore[return-value]


def guess(times: int, **how: Any) -> HttpResponse:
    return [sign_in(WRONG, **how) for _ in range(times)][-1]


def test_the_right_password_after_a_few_wrong_ones_is_taken() -> None:
    assert guess(4).status_code == 200
    assert sign_in(RIGHT).status_code == 302
    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_after_five_wrong_ones_even_the_right_one_waits(path: str) -> None:
    answer = guess(5, path=path)
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert b"Too many attempts" in answer.content
    assert b"15 minutes after the last attempt" in answer.content
    assert sign_in(RIGHT, path=path).status_code == 429


def test_both_doors_count_together() -> None:
    guess(3)
    assert guess(2, path="/admin/login/").status_code == 429


def test_others_sign_in_from_the_same_address() -> None:
    User.objects.create_user("bela", password=RIGHT)
    guess(6)
    assert sign_in(RIGHT, name="bela").status_code == 302


def test_nobody_can_lock_out_a_person_who_is_elsewhere() -> None:
    guess(6, REMOTE_ADDR="203.0.113.9")
    assert sign_in(RIGHT, REMOTE_ADDR="198.51.100.4").status_code == 302


def test_another_browser_at_the_same_address_is_no_new_start() -> None:
    for number in range(4):
        sign_in(WRONG, HTTP_USER_AGENT=f"agent {number}")
    assert sign_in(WRONG, HTTP_USER_AGENT="agent 5").status_code == 429


def test_the_wait_ends_by_itself_and_is_not_made_longer_by_trying() -> None:
    guess(5)
    long_ago = timezone.now() - timedelta(minutes=14)
    AccessAttempt.objects.update(attempt_time=long_ago)
    guess(1)
    assert AccessAttempt.objects.get().attempt_time == long_ago
    AccessAttempt.objects.update(attempt_time=long_ago - timedelta(minutes=2))
    assert sign_in(RIGHT).status_code == 302


def test_an_operator_ends_the_wait() -> None:
    guess(5)
    call_command("axes_reset_username", "anna", verbosity=0)
    assert sign_in(RIGHT).status_code == 302


def test_who_is_signed_in_stays_so(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    guess(6)
    assert client.get("/admin/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_keys_have_nothing_to_do_with_it() -> None:
    guess(6)
    key = api_key("read")
    for _ in range(10):
        assert Client().get("/v1/stats", headers={"X-API-Key": "wrong"}).status_code == 401
    assert Client().get("/v1/stats", headers={"X-API-Key": key}).status_code == 200


@pytest.mark.parametrize("junk", ["\0", "\ud800", "x" * 100_000])
def test_whatever_is_sent_is_no_fault_of_ours(junk: str) -> None:
    form = {"username": "anna", "password": WRONG, "more": junk}
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode(errors="replace")
    answer = Client().post("/login/", body, "application/x-www-form-urlencoded")
    assert answer.status_code == 200
    for field in ("username", "password"):
        changed = (form | {field: f"a{junk}"}).items()
        body = "&".join(f"{name}={value}" for name, value in changed).encode(errors="replace")
        answer = Client().post("/login/", body, "application/x-www-form-urlencoded")
        assert answer.status_code == 200


def test_no_password_is_kept() -> None:
    sign_in("hunter2")
    attempt = AccessAttempt.objects.get()
    assert "hunter2" not in f"{attempt.get_data} {attempt.post_data}"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, "203.0.113.9", "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),
        (1, "", "10.0.0.1"),
        (1, "unknown", "10.0.0.1"),
        (1, "2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_an_address_is_believed_as_far_as_proxies_are_trusted(
    settings: Any, proxies: int, forwarded: str, found: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded})
    request.META["REMOTE_ADDR"] = "10.0.0.1"
    assert address(request) == found


def test_who_comes_over_a_local_socket_has_no_address() -> None:
    request = RequestFactory().get("/")
    request.META["REMOTE_ADDR"] = ""
    assert address(request) is None
