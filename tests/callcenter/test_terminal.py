"""The log lines of many programs, on one terminal."""

import json
from typing import Any

import pytest

from callcenter.up.terminal import Terminal


@pytest.fixture(autouse=True)
def for_people(settings: Any) -> None:
    settings.LOG_FORMAT = "text"


def test_lines_are_whole_and_carry_the_name_of_their_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal()
    terminal.show("web", b"first\nsec")
    terminal.show("speech", "grüß".encode()[:-1])
    terminal.show("web", b"ond\n")
    terminal.show("speech", "ß\n".encode()[1:])
    assert capsys.readouterr().out == "web      | first\nweb      | second\nspeech   | grüß\n"


def test_the_greeting_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().show("greeting", b"  Dashboard\n")
    assert capsys.readouterr().out == "  Dashboard\n"


def test_for_machines_each_line_is_an_object(
    capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.LOG_FORMAT = "json"
    terminal = Terminal()
    terminal.show("web", b'{"message": "already one"}\n\nnot "one"\n')
    terminal.say("stopped")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["already one", 'not "one"', "stopped"]
    assert lines[1]["logger"] == "up.web"
