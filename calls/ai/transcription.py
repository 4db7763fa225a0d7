"""The AI client: one request a track to anything that speaks the OpenAI transcription API.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic_core import from_json

from calls.ai.audio import Audio
from calls.models.job import Verdict

MAX_ANSWER = 16 * 1024 * 1024  # bytes
MAX_SEGMENTS = 20_000
TRANSIENT_STATUSES = {408, 409, 425}
CALL_FAULTS = {400, 413, 415, 422}
REFUSED = {401: "key", 403: "key", 404: "address", 405: "address"}


@dataclass(frozen=True, slots=True)
class Service:
    """Where the AI service is; `timeout` in seconds, for a request without audio."""

    url: str
    key: str
    model: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech, in seconds from the start of the track."""

    start: float
    end: float
    text: str
    confidence: float | None


class RequestFailed(Exception):
    """A request without a transcription: what kind of failure, in words for a supervisor."""

    def __init__(
        self,
        kind: Verdict,
        words: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(words)
        self.kind, self.words, self.status, self.retry_after = kind, words, status, retry_after


async def transcribe(client: httpx.AsyncClient, service: Service, audio: Audio) -> list[Segment]:
    """What is said on one track, in order of time; empty for silence. Raises `RequestFailed`."""
    limit = service.timeout + 2 * audio.seconds
    try:
        async with asyncio.timeout(limit):
            wav = await asyncio.to_thread(audio.wav)
            status, headers, body = await _post(client, service, wav)
    except TimeoutError:
        words = f"no answer from the AI service within {limit:.0f} s"
        raise RequestFailed(Verdict.TRANSIENT, words) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        words = f"the AI service could not be reached ({type(error).__name__})"
        raise RequestFailed(Verdict.TRANSIENT, words) from None
    if status != httpx.codes.OK:
        raise _refusal(status, headers, body)
    return _segments(body, audio.seconds)


async def _post(
    client: httpx.AsyncClient, service: Service, wav: bytes
) -> tuple[int, Mapping[str, str], bytes]:
    async with client.stream(
        "POST",
        f"{service.url}/audio/transcriptions",
        headers={"Authorization": f"Bearer {service.key}"} if service.key else {},
        files={"file": ("track.wav", wav, "audio/wav")},
        data={
            "model": service.model,
            "language": "en",
            "response_format": "verbose_json",
            "timestamp_granularities[]": "segment",
        },
        timeout=httpx.Timeout(None, connect=5.0),
    ) as response:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER:
                words = f"the AI service sent more than {MAX_ANSWER} bytes"
                raise RequestFailed(Verdict.TRANSIENT, words, status=response.status_code)
        return response.status_code, response.headers, bytes(body)


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> RequestFailed:
    told = _message(body)
    retry_after = parse_retry_after(headers.get("retry-after"), now=datetime.now(UTC))
    if status == httpx.codes.TOO_MANY_REQUESTS:
        kind, words = Verdict.THROTTLED, "the AI service is busy and asks to wait (429)"
    elif status in REFUSED:
        kind = Verdict.CONFIGURATION
        words = f"the AI service refuses our {REFUSED[status]} ({status}): check the settings"
    elif status in CALL_FAULTS:
        kind, words = Verdict.CALL_FAULT, f"the AI service cannot take this audio ({status})"
    elif status >= 500 or status in TRANSIENT_STATUSES:
        kind, words = Verdict.TRANSIENT, f"the AI service failed ({status})"
    else:
        kind, words = Verdict.TRANSIENT, f"the AI service gave an unexpected answer ({status})"
    return RequestFailed(
        kind, f"{words}: {told}" if told else words, status=status, retry_after=retry_after
    )


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header, which is seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value).astimezone(UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _message(body: bytes) -> str:
    """What an error answer says in the OpenAI shape, short and printable."""
    try:
        told = from_json(body)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        return ""
    return clean(told)[:200] if isinstance(told, str) else ""


def clean(text: str) -> str:
    """Text that PostgreSQL and a page can take: without NUL, surrogates, control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _segments(body: bytes, length: float) -> list[Segment]:
    try:
        answer = from_json(body)
        if not isinstance(answer["text"], str):
            raise TypeError
        rows = answer.get("segments")
        if not isinstance(rows, list):
            rows = [{"start": 0.0, "end": length, "text": answer["text"]}]
        segments = [_segment(row, length) for row in rows[:MAX_SEGMENTS]]
    except (ValueError, TypeError, KeyError):
        words = "the AI service sent something that is not a transcription"
        raise RequestFailed(Verdict.TRANSIENT, words, status=200) from None
    return sorted((s for s in segments if s.text), key=lambda segment: segment.start)


def _segment(row: Any, length: float) -> Segment:
    start = _seconds(row["start"], length)
    end = max(start, _seconds(row["end"], length))
    return Segment(start, end, clean(str(row["text"])), _confidence(row.get("avg_logprob")))


def _seconds(value: Any, length: float) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError("not a time")
    return round(min(max(seconds, 0.0), length), 3)


def _confidence(logprob: Any) -> float | None:
    """The mean probability of a segment's tokens, from the mean of their logarithms."""
    if not isinstance(logprob, int | float) or not math.isfinite(logprob):
        return None
    return round(math.exp(min(float(logprob), 0.0)), 4)
