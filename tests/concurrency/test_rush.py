"""Everybody comes back at once, as after a restart of the web process."""

import asyncio
from pathlib import Path

import httpx
import pytest

from callcenter.embedded.engines import Urls
from tests.dashboard.people import user_with
from tests.dashboard.sockets import session_of
from tests.factories import call_in_progress
from tests.processes import web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

VIEWERS = 100


async def open_all(url: str, cookie: str) -> list[int]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=url, headers={"cookie": cookie}, limits=limits, timeout=30, trust_env=False
    ) as browsers:
        answers = await asyncio.gather(*(browsers.get("/") for _ in range(VIEWERS)))
    return [answer.status_code for answer in answers]


def test_a_hundred_pages_opened_at_once_are_all_answered(engines: Urls, tmp_path: Path) -> None:
    for _ in range(50):
        call_in_progress()
    _, cookie = session_of(user_with("view_call"))
    with web(urls=engines, home=tmp_path) as url:
        assert set(asyncio.run(open_all(url, cookie.decode()))) == {200}
