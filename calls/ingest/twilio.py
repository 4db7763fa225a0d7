"""Twilio's Media Streams and those who took them over: JSON in text frames, audio in base64.

Telnyx writes `stream_id`, `call_control_id`, `media_format`, `custom_parameters`, and promises no
order of its frames; the chunks of each track are numbered. Whoever hangs up is announced by
`stop`, unless the network broke.
"""

import binascii
import json
from base64 import b64decode
from typing import Any

from calls.ingest.dialect import Audio, Dialect, Digit, Event, NotUnderstood, Start, Stop
from calls.ingest.media import Media
from calls.states import Encoding, Track

ENCODINGS = {
    "audio/x-mulaw": Encoding.MULAW,
    "audio/x-alaw": Encoding.ALAW,
    "PCMU": Encoding.MULAW,
    "PCMA": Encoding.ALAW,
}
LONGEST = 7 * 24 * 3600.0  # seconds that a stream lasts at most
MAX_CHUNK = 2**31


def read(text: str) -> Event | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("a frame is not valid JSON") from None
    if not isinstance(said, dict):
        raise NotUnderstood("a frame is no JSON object")
    event = said.get("event")
    if event == "media":
        return _audio(_part(said, "media"))
    if event == "start":
        return _start(said, _part(said, "start"))
    if event == "dtmf":
        part = _part(said, "dtmf")
        return Digit(_text(part, "digit")[:1], _track(part))
    return Stop() if event == "stop" else None


def _audio(media: dict[str, Any]) -> Audio:
    try:
        data = b64decode(media.get("payload", ""), validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise NotUnderstood("the payload of a media frame is not base64") from None
    at = _number(media.get("timestamp"), LONGEST * 1000)
    chunk = _number(media.get("chunk"), MAX_CHUNK)
    return Audio(data, _track(media), None if at is None else at / 1000, chunk)


def _start(said: dict[str, Any], start: dict[str, Any]) -> Start:
    form = _either(start, "mediaFormat", "media_format")
    parameters = _either(start, "customParameters", "custom_parameters")
    form = form if isinstance(form, dict) else {}
    parameters = parameters if isinstance(parameters, dict) else {}
    encoding, rate = form.get("encoding"), _number(form.get("sampleRate", form.get("sample_rate")))
    tracks = start.get("tracks")
    return Start(
        channel=_first(said, "streamSid", "stream_id") or _first(start, "streamSid", "stream_id"),
        call_id=_first(start, "callSid", "call_control_id"),
        media=_media(encoding, rate),
        format=f"{encoding} at {rate} Hz"[:100],
        said=_said(start, parameters),
        tracks=tuple(t for t in Track.values if t in tracks) if isinstance(tracks, list) else (),
    )


def _said(start: dict[str, Any], parameters: dict[Any, Any]) -> dict[str, str]:
    """The parameters, and who calls whom, which Telnyx says by itself."""
    known = {"caller": _text(start, "from"), "callee": _text(start, "to")}
    given = {str(name): value for name, value in parameters.items() if isinstance(value, str)}
    return {name: value for name, value in known.items() if value} | given


def _media(encoding: object, rate: int | None) -> Media | None:
    """What nobody names is what Twilio always sends."""
    known = ENCODINGS.get(encoding or "audio/x-mulaw") if isinstance(encoding, str | None) else None
    return Media(known, 8000) if known and rate in (None, 8000) else None


def _part(said: dict[str, Any], name: str) -> dict[str, Any]:
    part = said.get(name)
    if not isinstance(part, dict):
        raise NotUnderstood(f"a frame without {name}")
    return part


def _track(part: dict[str, Any]) -> str:
    """`inbound`; in DTMF frames `inbound_track`."""
    track = str(part.get("track", "")).removesuffix("_track")
    return track if track in Track.values else Track.INBOUND.value


def _number(value: object, most: float = 1e6) -> int | None:
    """Every number is a string, or should be."""
    text = str(value) if isinstance(value, str | int) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        return None
    return int(text) if int(text) <= most else None


def _text(part: dict[str, Any], name: str) -> str:
    value = part.get(name, "")
    if not isinstance(value, str):
        raise NotUnderstood(f"{name} is no text")
    return value[:200]


def _either(part: dict[str, Any], ours: str, theirs: str) -> object:
    return part.get(ours, part.get(theirs))


def _first(part: dict[str, Any], *names: str) -> str:
    return next((text for name in names if (text := _text(part, name))), "")


DIALECT = Dialect("twilio", read)
