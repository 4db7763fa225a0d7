"""Recording and transcript over HTTP."""

import base64
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from callcenter.asgi import application
from calls.api.ranges import Unsatisfiable, wanted
from calls.models import Audit, Call, Packet
from calls.models.audit import Verb
from calls.records.recording import recording_of
from tests.dashboard.outcomes import finish_run, transcribed_call
from tests.factories import api_key, call_in_progress, ended_call, fresh_id, send

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None), ("", None), ("bytes=0-", (0, 1000)), ("bytes=0-0", (0, 1)),
        ("bytes=0-999", (0, 1000)), ("bytes=0-5000", (0, 1000)), ("bytes=200-", (200, 1000)),
        ("bytes=200-299", (200, 300)), ("bytes=-1", (999, 1000)), ("bytes=-5000", (0, 1000)),
        ("bytes=999-", (999, 1000)), ("BYTES=1-2", (1, 3)), ("bytes= 1-2 ", (1, 3)),
        ("bytes=0005-0006", (5, 7)), ("bytes=0-" + "9" * 5000, (0, 1000)),
        # What cannot be read and what asks for several parts is answered with the whole.
        ("bytes=-", None), ("bytes=5-3", None), ("bytes=a-b", None), ("bytes", None),
        ("lines=1-2", None), ("bytes=0-1,5-6", None), ("bytes=1 - 2", None), ("bytes=--5", None),
        ("bytes=１-２", None), ("bytes=0x1-2", None),  # noqa: RUF001
    ],
)  # fmt: skip
def test_the_range_that_is_wanted(header: str | None, part: tuple[int, int] | None) -> None:
    assert wanted(header, SIZE) == part


@pytest.mark.parametrize(
    "header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=" + "9" * 5000 + "-"]
)
def test_a_range_outside_of_the_file(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted(header, SIZE)


@pytest.fixture
def client(db: None) -> Client:
    return Client(headers={"authorization": f"Bearer {api_key('read')}"})


def get(client: Client, call: Call, what: str, **headers: str) -> Any:
    return client.get(f"/v1/call/{call.call_id}/{what}", headers=headers)


def test_the_recording_is_a_wav_file(client: Client) -> None:
    call = ended_call()
    answer = get(client, call, "recording")
    assert answer.status_code == 200
    assert (answer["Content-Type"], answer["Accept-Ranges"]) == ("audio/wav", "bytes")
    assert answer.content[:4] + answer.content[8:12] == b"RIFFWAVE"
    assert int(answer["Content-Length"]) == len(answer.content) == 44 + 3 * 160 * 2


def test_a_range_is_answered_with_that_part(client: Client) -> None:
    call = ended_call()
    whole = get(client, call, "recording").content
    answer = get(client, call, "recording", range="bytes=10-59")
    assert (answer.status_code, answer["Content-Range"]) == (206, f"bytes 10-59/{len(whole)}")
    assert (answer.content, answer["Content-Length"]) == (whole[10:60], "50")


def test_a_range_outside_is_told_with_the_size(client: Client) -> None:
    answer = get(client, ended_call(), "recording", range="bytes=5000-")
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */1004")
    assert "1004 bytes" in answer.json()["detail"]


def test_several_ranges_are_answered_with_the_whole(client: Client) -> None:
    answer = get(client, ended_call(), "recording", range="bytes=0-1,4-5")
    assert (answer.status_code, len(answer.content)) == (200, 1004)


def test_who_has_a_part_of_another_version_gets_the_whole(client: Client) -> None:
    call = ended_call()
    tag = get(client, call, "recording")["ETag"]
    known = {"range": "bytes=0-9", "if-range": tag}
    assert get(client, call, "recording", **known).status_code == 206
    send(call.call_id, 7)
    answer = get(client, call, "recording", **known)
    assert (answer.status_code, len(answer.content)) == (200, int(answer["Content-Length"]))
    assert answer["ETag"] != tag


def test_a_call_without_sound_says_so(client: Client) -> None:
    call_id = fresh_id()
    send(call_id, 0, data="no audio!")
    answer = client.get(f"/v1/call/{call_id}/recording")
    assert answer.status_code == 404
    assert "none of its packets holds audio" in answer.json()["detail"]


def test_packets_put_away_meanwhile_are_asked_for_again(client: Client) -> None:
    call = ended_call()
    recording_of(call)
    Packet.objects.filter(call=call).delete()
    answer = get(client, call, "recording")
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")


@pytest.mark.parametrize("what", ["recording", "transcript"])
def test_an_unknown_call_and_a_key_of_another_scope_are_refused(client: Client, what: str) -> None:
    assert client.get(f"/v1/call/nobody-called/{what}").status_code == 404
    other = {"authorization": f"Bearer {api_key('ingest')}"}
    assert get(client, ended_call(), what, **other).status_code == 403


@pytest.mark.django_db(transaction=True)
async def test_a_long_recording_is_sent_in_pieces() -> None:
    loud = base64.b64encode(bytes(8000)).decode()
    call_id, key = fresh_id(), await sync_to_async(api_key)("read")
    for second in range(70):
        await sync_to_async(send)(call_id, second, data=loud, timestamp=1e9 + second)
    transport = httpx.ASGITransport(application)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=headers
    ) as client:
        answer = await client.get(f"/v1/call/{call_id}/recording")
        assert len(answer.content) == int(answer.headers["content-length"]) == 44 + 70 * 16_000
        assert set(answer.content[44:]) == {0x84, 0x82}
        part = await client.get(f"/v1/call/{call_id}/recording", headers={"range": "bytes=7-"})
        assert (part.status_code, part.content) == (206, answer.content[7:])


def test_the_json_is_the_result_of_the_call(client: Client) -> None:
    call = transcribed_call("this is terrible", "thank you")
    said = get(client, call, "transcript").json()
    assert said == client.get(f"/v1/call/{call.call_id}").json()["result"]
    assert [one["text"] for one in said["utterances"]] == ["this is terrible", "thank you"]


@pytest.mark.parametrize(
    ("form", "media_type", "beginning"),
    [
        ("text", "text/plain; charset=utf-8", "[00:00:01] Caller: thank you\n"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n<v Caller>"),
        ("srt", "application/x-subrip; charset=utf-8", "1\n00:00:01,000 --> 00:00:03,000\nCaller"),
    ],
)
def test_the_transcript_in_other_formats(
    client: Client, form: str, media_type: str, beginning: str
) -> None:
    answer = get(client, transcribed_call("thank you"), f"transcript?format={form}")
    assert (answer.status_code, answer["Content-Type"]) == (200, media_type)
    assert answer.content.decode().startswith(beginning)


def test_an_empty_transcript_is_a_transcript(client: Client) -> None:
    call = finish_run(ended_call(), [])
    assert get(client, call, "transcript").json()["transcript"] == ""
    assert get(client, call, "transcript?format=vtt").content == b"WEBVTT\n"


@pytest.mark.parametrize("query", ["format=pdf", "format=", "colour=red"])
def test_a_format_that_is_not_known_is_refused(client: Client, query: str) -> None:
    answer = get(client, transcribed_call(), f"transcript?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in str(answer.json()["detail"])


def test_without_a_result_the_answer_says_why(client: Client) -> None:
    answer = get(client, call_in_progress(), "transcript")
    assert (answer.status_code, "in progress" in answer.json()["detail"]) == (404, True)


def test_who_took_what_stands_in_the_audit(client: Client) -> None:
    call = transcribed_call("thank you")
    for header in ("bytes=0-9", "bytes=10-19"):
        get(client, call, "recording", range=header)
    client.get(f"/v1/call/{call.call_id}/transcript?format=vtt")
    rows = Audit.objects.filter(verb=Verb.EXPORTED, call_id=call.call_id)
    assert list(rows.order_by("pk").values_list("detail", flat=True)) == [
        "recording",
        "transcript (vtt)",
    ]
