"""The data of the charts, as a browser asks for it."""

import pytest
from django.test import Client

from tests.dashboard.people import signed_in

pytestmark = pytest.mark.django_db


def test_the_charts_are_for_those_who_see_the_board() -> None:
    assert Client().get("/charts").status_code == 302
    assert signed_in().get("/charts").status_code == 403
    answer = signed_in("view_call").get("/charts")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    hour = answer.json()
    lines = [*hour.pop("calls").values(), *hour.values()]
    assert {len(line) for line in lines} == {60}
