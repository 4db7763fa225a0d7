"""The AI client and the ways in which a service fails."""

import asyncio
from datetime import UTC, datetime

import numpy as np
import pytest

from calls.ai.audio import Audio
from calls.ai.transcription import Client, RequestFailed, Segment, Service, parse_retry_after
from calls.models.job import Verdict
from tests.ai_service import AiService, ai_service

AUDIO = Audio(np.zeros(16_000, np.int16), 8000)


def ask(service: AiService, *, timeout: float = 5.0) -> list[Segment]:
    async def run() -> list[Segment]:
        target = Service(url=service.url, key="secret", model="m", timeout=timeout)
        async with Client(target, width=1) as client:
            return await client.transcribe(AUDIO)

    return asyncio.run(run())


def ask_and_fail(status: int, said: object, **headers: str) -> RequestFailed:
    with ai_service() as service:
        service.script = [(status, headers, said)]
        with pytest.raises(RequestFailed) as failure:
            ask(service)
    return failure.value


def test_segments_come_with_times_text_and_confidence() -> None:
    with ai_service() as service:
        [segment] = ask(service)
    assert segment == Segment(0.0, 1.0, "thank you for calling", 0.9048)


def test_a_bare_text_is_one_segment_of_the_whole_track() -> None:
    with ai_service() as service:
        service.script = [(200, {}, {"text": "hello"})]
        assert ask(service) == [Segment(0.0, 2.0, "hello", None)]


def test_silence_is_no_segment() -> None:
    with ai_service() as service:
        service.script = [(200, {}, {"text": "  ", "segments": []})]
        assert ask(service) == []


def test_the_request_carries_a_wav_and_asks_for_segments() -> None:
    with ai_service() as service:
        ask(service)
    [body] = service.bodies
    assert b"RIFF" in body
    assert b"verbose_json" in body


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, Verdict.TRANSIENT), (502, Verdict.TRANSIENT), (503, Verdict.TRANSIENT),
        (504, Verdict.TRANSIENT), (408, Verdict.TRANSIENT), (429, Verdict.THROTTLED),
        (400, Verdict.CALL_FAULT), (413, Verdict.CALL_FAULT), (415, Verdict.CALL_FAULT),
        (422, Verdict.CALL_FAULT), (401, Verdict.CONFIGURATION), (403, Verdict.CONFIGURATION),
        (404, Verdict.CONFIGURATION), (405, Verdict.CONFIGURATION),
    ],
)  # fmt: skip
def test_each_status_is_sorted(status: int, kind: Verdict) -> None:
    failure = ask_and_fail(status, {"error": {"message": "because"}})
    assert (failure.kind, failure.status) == (kind, status)
    assert failure.words.endswith("because")


def test_a_service_that_is_not_there_is_a_transient_failure() -> None:
    with pytest.raises(RequestFailed, match="could not be reached") as failure:
        ask(AiService(url="http://127.0.0.1:1/v1"))
    assert failure.value.kind == Verdict.TRANSIENT


def test_a_service_that_hangs_is_left_after_the_timeout_plus_twice_the_audio() -> None:
    with ai_service() as service:
        service.hold.clear()
        with pytest.raises(RequestFailed, match="within 4 s") as failure:
            ask(service, timeout=0.1)
    assert failure.value.kind == Verdict.TRANSIENT


@pytest.mark.parametrize(
    "said",
    [
        b"<html>", b"", b"[]", b"{}", b'{"text": 5}', b'{"text": "a", "segments": [1]}',
        b'{"text": "a", "segments": [{"start": "NaN", "end": 1, "text": "a"}]}',
        b'{"text": "a", "segments": [{"start": 0}]}', b"[" * 100_000, b'{"text": "\\ud800"}',
    ],
)  # fmt: skip
def test_an_answer_that_is_no_transcription_is_a_transient_failure(said: bytes) -> None:
    failure = ask_and_fail(200, said)
    assert failure.kind == Verdict.TRANSIENT
    assert "not a transcription" in failure.words


def test_hostile_text_is_made_storable() -> None:
    with ai_service() as service:
        service.script = [(200, {}, {"text": "a\u0000b\tc\nd"})]
        assert [segment.text for segment in ask(service)] == ["a b c d"]


def test_times_outside_the_audio_are_brought_inside() -> None:
    with ai_service() as service:
        rows = [{"start": 1.5, "end": 99, "text": "b"}, {"start": -4, "end": -9, "text": "a"}]
        service.script = [(200, {}, {"text": "x", "segments": rows})]
        assert [(s.start, s.end, s.text) for s in ask(service)] == [(0, 0, "a"), (1.5, 2.0, "b")]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("nan", None), ("inf", None), ("soon", None),
        ("", None), (None, None), ("Tue, 03 Feb 2026 12:00:09 GMT", 9.0),
        ("Tue, 03 Feb 2026 11:00:00 GMT", 0.0), ("Tue, 99 Feb 2026 11:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now=datetime(2026, 2, 3, 12, tzinfo=UTC)) == seconds


def test_what_a_refusal_asks_for_is_kept() -> None:
    failure = ask_and_fail(429, {}, **{"Retry-After": "11"})
    assert failure.retry_after == 11


@pytest.mark.parametrize(
    ("said", "confidence"),
    [
        ({"avg_logprob": -0.2}, 0.8187), ({"avg_logprob": -1.2}, 0.3012), ({}, None),
        ({"avg_logprob": "x"}, None), ({"avg_logprob": float("nan")}, None),
        ({"avg_logprob": -0.2, "compression_ratio": 2.4}, 0.8187),
        ({"avg_logprob": -0.2, "compression_ratio": 2.5}, 0.0),
        ({"compression_ratio": 9}, 0.0), ({"compression_ratio": None}, None),
    ],
)  # fmt: skip
def test_confidence_is_low_where_the_service_says_so(
    said: dict[str, object], confidence: float | None
) -> None:
    with ai_service() as service:
        rows = [{"start": 0, "end": 1, "text": "a"} | said]
        service.script = [(200, {}, {"text": "a", "segments": rows})]
        [segment] = ask(service)
    assert segment.confidence == confidence
