"""The policy that browsers get with every answer."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from callcenter.csp import HEADER, ContentSecurityPolicy

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "path", ["/login/", "/docs", "/health", "/v1/stats", "/admin/login/", "/nothing/here"]
)
def test_every_answer_has_the_policy(path: str) -> None:
    policy = Client().get(path)[HEADER]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_the_policy_names_the_sockets_of_this_host_alone() -> None:
    policy = Client().get("/login/", headers={"host": "localhost:8123"})[HEADER]
    assert "connect-src 'self' ws://localhost:8123 wss://localhost:8123;" in policy


def test_a_strange_host_gets_into_no_policy() -> None:
    answer = Client().get("/login/", headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert "evil" not in answer[HEADER]


def test_what_a_view_says_itself_stays() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={HEADER: "default-src 'none'"})

    answer = ContentSecurityPolicy(view)(RequestFactory().get("/"))
    assert isinstance(answer, HttpResponse)
    assert answer[HEADER] == "default-src 'none'"


async def test_an_asynchronous_view_gets_it_too() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    answer = await ContentSecurityPolicy(view)(RequestFactory().get("/"))  # type: ignore[misc]
    assert "default-src 'self'" in answer[HEADER]
