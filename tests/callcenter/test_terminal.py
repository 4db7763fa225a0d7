"""The log lines of many programs, on one terminal."""

import pytest

from callcenter.up.terminal import Terminal


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
