"""`TWILIO_AUTH_TOKEN`: what can be read, and that it is never shown."""

import pytest

from callcenter.environment import BadSetting, read, token


def test_a_token_is_taken_as_it_is_and_none_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")
    assert read("TWILIO_AUTH_TOKEN", "", token) == "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", " ")
    assert read("TWILIO_AUTH_TOKEN", "", token) == ""


@pytest.mark.parametrize("wrong", ["hidden", "hidden hidden hidden", "hidden-é-hidden-é-hidden"])
def test_what_cannot_be_one_stops_the_start_unshown(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", wrong)
    with pytest.raises(BadSetting) as refusal:
        read("TWILIO_AUTH_TOKEN", "", token)
    assert str(refusal.value).startswith("TWILIO_AUTH_TOKEN: expected 16 to 200")
    assert "hidden" not in str(refusal.value)
