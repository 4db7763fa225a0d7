"""Style and scripts, as they are found without collecting them first."""

import warnings

from django.test import Client


def test_a_script_is_served_whole_and_with_its_type() -> None:
    answer = Client().get("/static/dashboard/live.js")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/javascript")
    assert len(answer.content) == int(answer["Content-Length"]) > 1000
    assert not answer.streaming


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    first = Client().get("/static/dashboard/style.css")
    again = Client().get(
        "/static/dashboard/style.css", headers={"if-modified-since": first["Last-Modified"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_a_part_of_a_file_can_be_asked_for() -> None:
    answer = Client().get("/static/dashboard/style.css", headers={"range": "bytes=0-9"})
    assert (answer.status_code, len(answer.content)) == (206, 10)


def test_a_missing_collection_is_no_cause_for_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Client().get("/static/dashboard/icon.svg")
