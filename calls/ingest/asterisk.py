"""Asterisk's `chan_websocket`: control in text frames, JSON or plain; bare audio in binary ones.

It begins with MEDIA_START, though audio may come before it under load. When the caller hangs up
the socket is closed with code 1000, without a word.
"""

import json
from typing import Any

from calls.ingest.dialect import Dialect, Digit, Event, NotUnderstood, Start
from calls.ingest.media import Media
from calls.states import Encoding

# What Asterisk calls linear audio comes low byte first.
FORMATS = {
    "ulaw": Media(Encoding.MULAW, 8000),
    "alaw": Media(Encoding.ALAW, 8000),
    "slin": Media(Encoding.L16, 8000, swapped=True),
    "slin12": Media(Encoding.L16, 12_000, swapped=True),
    "slin16": Media(Encoding.L16, 16_000, swapped=True),
    "slin24": Media(Encoding.L16, 24_000, swapped=True),
    "slin32": Media(Encoding.L16, 32_000, swapped=True),
    "slin44": Media(Encoding.L16, 44_100, swapped=True),
    "slin48": Media(Encoding.L16, 48_000, swapped=True),
}
# Without it Dial gives up at its timeout, though audio flows.
ANSWER = "ANSWER"


def read(text: str) -> Event | None:
    is_json = text.lstrip().startswith("{")
    said = _json(text) if is_json else _plain(text)
    event = said.get("event")
    if event == "MEDIA_START":
        return _start(said, answer=json.dumps({"command": ANSWER}) if is_json else ANSWER)
    if event == "DTMF_END":
        return Digit(_text(said, "digit")[:1])
    return None


def _start(said: dict[str, Any], *, answer: str) -> Start:
    name, channel = _text(said, "format"), _text(said, "channel_id")
    return Start(
        channel=channel, call_id=channel, media=FORMATS.get(name), format=name, reply=answer
    )


def _json(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("a text frame is not valid JSON") from None
    if not isinstance(said, dict):
        raise NotUnderstood("a text frame is no JSON object")
    return said


def _plain(text: str) -> dict[str, Any]:
    """`MEDIA_START connection_id:… channel:… format:ulaw`"""
    event, *pairs = text.split() or [""]
    if not event.isascii() or not event.replace("_", "").isalpha():
        raise NotUnderstood("a text frame is neither JSON nor an event of Asterisk")
    return dict(pair.partition(":")[::2] for pair in pairs) | {"event": event}


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise NotUnderstood(f"{name} is no text")
    return value[:200]


DIALECT = Dialect("asterisk", read, raw_audio=True, subprotocols=("media",))
