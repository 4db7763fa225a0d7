"""The AI client: one request a track to anything that speaks the OpenAI transcription API.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Self

import aiohttp
from pydantic_core import from_json

from calls import tracing
from calls.ai.audio import Audio
from calls.models.job import Verdict

MAX_ANSWER = 16 * 1024 * 1024  # bytes
MAX_SEGMENTS = 20_000
CONNECT_WITHIN = 5.0  # seconds
SHORT = 60.0  # seconds of audio
RUBBISH_ABOVE = 2.4  # compression ratio: text that repeats itself
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


class Client:
    """Asks one service, up to `width` requests at once; to be used as an async context."""

    def __init__(self, service: Service, *, width: int) -> None:
        self._service, self._width = service, width
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        key = self._service.key
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._width),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN),
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def transcribe(self, audio: Audio) -> list[Segment]:
        """What is said on a track, in order of time; empty for silence. Raises `RequestFailed`."""
        length = {"audio.ms": round(1000 * audio.seconds)}
        with tracing.span("ask the AI service", kind="client", attributes=length):
            return await self._transcribe(audio)

    async def _transcribe(self, audio: Audio) -> list[Segment]:
        limit = self._service.timeout + 2 * audio.seconds
        try:
            async with asyncio.timeout(limit):
                status, headers, body = await self._post(await _wav(audio))
        except (aiohttp.ClientError, UnicodeError) as error:
            words = f"the AI service could not be reached ({type(error).__name__})"
            raise RequestFailed(Verdict.TRANSIENT, words) from None
        except TimeoutError:
            words = f"no answer from the AI service within {limit:.0f} s"
            raise RequestFailed(Verdict.TRANSIENT, words) from None
        if status != HTTPStatus.OK:
            raise _refusal(status, headers, body)
        return _segments(body, audio.seconds)

    async def _post(self, wav: bytes) -> tuple[int, Mapping[str, str], bytes]:
        form = aiohttp.FormData(
            {
                "model": self._service.model,
                "language": "en",
                "response_format": "verbose_json",
                "timestamp_granularities[]": "segment",
            },
            quote_fields=False,
        )
        form.add_field("file", wav, filename="track.wav", content_type="audio/wav")
        url = f"{self._service.url}/audio/transcriptions"
        async with self._session.post(
            url, data=form, allow_redirects=False, headers=tracing.outgoing()
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    words = f"the AI service sent more than {MAX_ANSWER} bytes"
                    raise RequestFailed(Verdict.TRANSIENT, words, status=response.status)
            return response.status, response.headers, bytes(body)


async def _wav(audio: Audio) -> bytes:
    """A thread costs more than writing a short track, which holds the loop up for nothing."""
    return audio.wav() if audio.seconds < SHORT else await asyncio.to_thread(audio.wav)


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> RequestFailed:
    told = _message(body)
    retry_after = parse_retry_after(headers.get("retry-after"), now=datetime.now(UTC))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
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
    return Segment(start, end, clean(str(row["text"])), _confidence(row))


def _seconds(value: Any, length: float) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError("not a time")
    return round(min(max(seconds, 0.0), length), 3)


def _confidence(row: Mapping[str, Any]) -> float | None:
    """The mean probability of a segment's tokens, from the mean of their logarithms.

    0 for text that compresses too well, which is how a recogniser babbles.
    """
    if _number(row.get("compression_ratio"), 0.0) > RUBBISH_ABOVE:
        return 0.0
    logprob = _number(row.get("avg_logprob"), math.nan)
    return None if math.isnan(logprob) else round(math.exp(min(logprob, 0.0)), 4)


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else otherwise
