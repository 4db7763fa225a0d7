"""Nothing that is told of calls lies about in a cache."""

import pytest
from django.test import Client

from tests.dashboard.outcomes import transcribed_call
from tests.dashboard.people import user_with
from tests.factories import api_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("part", ["", "/status", "/transcript", "/recording", "/nothing"])
def test_what_a_program_is_told_of_a_call_is_not_kept(part: str) -> None:
    call = transcribed_call()
    key = {"x-api-key": api_key("read")}
    answer = Client().get(f"/v1/call/{call.call_id}{part}", headers=key)
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("part", ["", "transcript", "recording", "waveform"])
def test_what_people_see_of_a_call_is_not_kept(part: str) -> None:
    call, client = transcribed_call(), Client()
    client.force_login(user_with("view_call"))
    answer = client.get(f"/calls/{call.call_id}/{part}")
    assert {"no-store", "private"} <= set(answer["Cache-Control"].split(", "))


def test_styles_may_be_kept() -> None:
    assert "public" in Client().get("/static/dashboard/style.css")["Cache-Control"]
