"""A call's result as a file: plain text, WebVTT (W3C) or SubRip."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Final

from calls.models import Call, Result, Utterance
from calls.states import Track

SPEAKERS: Final[Mapping[str, str]] = {Track.INBOUND: "Caller", Track.OUTBOUND: "Agent"}
SHOWN_FOR = 1.0  # seconds that an utterance without a length is shown


class NoTranscript(Exception):
    """A call without a result; says why, to the person who wants to read it."""


def result_of(call: Call) -> Result:
    """Raises `NoTranscript`."""
    if not call.has_ai_result:
        why = call.ai_words or f"it is {call.get_state_display().lower()}"
        raise NoTranscript(f"call {call.call_id} has no transcript: {why}")
    return call.result


def text(utterances: Iterable[Utterance]) -> str:
    """A line an utterance: when, who, what."""
    return "".join(f"[{_time(u.start)[:8]}] {_speaker(u)}: {_line(u)}\n" for u in utterances)


def vtt(utterances: Iterable[Utterance]) -> str:
    """Who speaks stands in the voice tag."""
    cues = (
        f"\n{_span(u, '.')}\n<v {_speaker(u)}>{escape(_line(u), quote=False)}\n" for u in utterances
    )
    return "WEBVTT\n" + "".join(cues)


def srt(utterances: Iterable[Utterance]) -> str:
    """SubRip knows no escapes: an arrow, which would begin a new cue, is spelt otherwise."""
    cues = (
        f"{number}\n{_span(u, ',')}\n{_speaker(u)}: {_line(u).replace('-->', '→')}\n"
        for number, u in enumerate(utterances, 1)
    )
    return "\n".join(cues)


WRITERS: Final[Mapping[str, tuple[str, Callable[[Iterable[Utterance]], str]]]] = {
    "text": ("text/plain; charset=utf-8", text),
    "vtt": ("text/vtt; charset=utf-8", vtt),
    "srt": ("application/x-subrip; charset=utf-8", srt),
}
"""The media type and the writer of each format."""


def _speaker(utterance: Utterance) -> str:
    return SPEAKERS[utterance.track]


def _line(utterance: Utterance) -> str:
    """On one line: an empty one would end a cue."""
    return " ".join(utterance.text.split())


def _span(utterance: Utterance, point: str) -> str:
    end = utterance.end if utterance.end > utterance.start else utterance.start + SHOWN_FOR
    return f"{_time(utterance.start, point)} --> {_time(end, point)}"


def _time(seconds: float, point: str = ".") -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{milliseconds:03}"
