"""What a client sends wrong is told in JSON, with the field, and never becomes a 5xx."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from callcenter.asgi import application
from calls.models import Call, Packet
from tests.factories import SPEECHLESS, api_key, ended_call, fresh_id

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = {"sequence": 0, "data": SPEECHLESS, "timestamp": 1_706_745_600.5}
DEEP = "[" * 50_000 + "]" * 50_000


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    secret = await sync_to_async(api_key)()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application),
        base_url="http://localhost",
        headers={"authorization": f"Bearer {secret}", "content-type": "application/json"},
    ) as client:
        yield client


def packet(field: str, json_value: str) -> str:
    """A packet whose field has this value, written as it would stand on the wire."""
    return json.dumps(GOOD | {field: "@"}).replace('"@"', json_value)


def assert_refused(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sequence", "-1"), ("sequence", "2147483648"), ("sequence", str(2**70)),
        ("sequence", "1.5"), ("sequence", '"1"'), ("sequence", "true"),
        ("sequence", "null"), ("sequence", "NaN"), ("sequence", "1e400"), ("sequence", "[]"),
        ("data", '""'), ("data", "5"), ("data", "null"), ("data", "{}"),
        ("data", r'"a\u0000b"'), ("data", '"' + "x" * 65_537 + '"'),
        ("timestamp", "NaN"), ("timestamp", "Infinity"), ("timestamp", "-Infinity"),
        ("timestamp", "0"), ("timestamp", "-1"), ("timestamp", "253402300800"),
        ("timestamp", "1e18"), ("timestamp", '"1706745600"'), ("timestamp", "true"),
        ("timestamp", "1e400"), ("timestamp", str(2**70)),
        ("track", '"sideways"'), ("track", "null"), ("track", "1"),
        ("colour", '"red"'), ("call_id", '"other"'),
    ],
)  # fmt: skip
async def test_a_bad_field_is_named(client: httpx.AsyncClient, field: str, value: str) -> None:
    call_id = fresh_id()
    answer = await client.post(f"/v1/call/stream/{call_id}", content=packet(field, value))
    detail = assert_refused(answer, 422)
    assert [problem["field"] for problem in detail] == [f"body.{field}"]
    assert not await Call.objects.filter(call_id=call_id).aexists()


@pytest.mark.parametrize("field", ["sequence", "data", "timestamp"])
async def test_a_field_left_out_is_named(client: httpx.AsyncClient, field: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != field}
    detail = assert_refused(await client.post("/v1/call/stream/a", json=body), 422)
    assert [problem["field"] for problem in detail] == [f"body.{field}"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"5", b'"text"', b"\xff\xfe", b"\x00", DEEP.encode(),
        packet("sequence", "1" + "0" * 5000).encode(), packet("data", r'"\ud800"').encode(),
        b'{"sequence": 0,}', b"sequence=0",
    ],
)  # fmt: skip
async def test_a_broken_body_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    detail = assert_refused(await client.post("/v1/call/stream/a", content=body), 422)
    assert detail[0]["field"].startswith("body")


@pytest.mark.parametrize(
    "call_id",
    [
        "x" * 129, "x" * 5000, ".dot", "-dash", "a%20b", "a%00b", "a%0A", "%C3%A4", "a%2Fb", "a*",
        "%ED%A0%80", "stream",
    ],
)  # fmt: skip
async def test_a_bad_call_id_is_refused(client: httpx.AsyncClient, call_id: str) -> None:
    answer = await client.put(f"/v1/call/{call_id}", json={})
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert not await Call.objects.aexists()


@pytest.mark.parametrize("call_id", ["+49301234567", "a", "0", "A.b_c:d@e-f", "x" * 128, "end"])
async def test_every_legal_call_id_is_taken(client: httpx.AsyncClient, call_id: str) -> None:
    answer = await client.post(f"/v1/call/stream/{call_id}", json=GOOD)
    assert answer.status_code == 202, answer.text
    assert (await client.get(f"/v1/call/{call_id}")).json()["call_id"] == call_id


async def test_a_body_of_ten_megabytes_is_refused(client: httpx.AsyncClient) -> None:
    body = packet("data", '"' + "x" * 10_000_000 + '"').encode()
    detail = assert_refused(await client.post("/v1/call/stream/a", content=body), 413)
    assert "1048576 bytes" in detail


async def test_a_body_that_hides_its_length_is_refused(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    assert_refused(await client.post("/v1/call/stream/a", content=chunks()), 413)


async def test_bulk_takes_what_the_stream_does_not(client: httpx.AsyncClient) -> None:
    packets = [GOOD | {"call_id": "big", "sequence": n, "data": "x" * 65_536} for n in range(40)]
    answer = await client.post("/v1/packets", json={"packets": packets})
    assert answer.json() == {"accepted": 40, "duplicates": 0, "rejected": []}


async def test_bulk_above_sixteen_mebibytes_is_refused(client: httpx.AsyncClient) -> None:
    assert_refused(await client.post("/v1/packets", content=b"x" * (16 * 2**20 + 1)), 413)


async def test_bulk_rejects_an_invalid_packet_alone(client: httpx.AsyncClient) -> None:
    packets: list[Any] = [GOOD | {"call_id": "b", "sequence": n} for n in (0, 1, 1, -1)]
    packets += [5, {"call_id": "b\u0000"}, GOOD | {"call_id": "c", "track": "up"}]
    said = (await client.post("/v1/packets", json={"packets": packets})).json()
    assert (said["accepted"], said["duplicates"]) == (2, 1)
    assert [r["index"] for r in said["rejected"]] == [3, 4, 5, 6]
    assert "packet.sequence" in said["rejected"][0]["detail"]
    assert await Packet.objects.acount() == 2


async def test_bulk_takes_one_packet_a_line(client: httpx.AsyncClient) -> None:
    lines = [json.dumps(GOOD | {"call_id": "l", "sequence": n}) for n in range(3)]
    body = "\n".join([*lines, "broken", ""])
    answer = await client.post(
        "/v1/packets", content=body, headers={"content-type": "application/x-ndjson"}
    )
    said = answer.json()
    assert (said["accepted"], [r["index"] for r in said["rejected"]]) == (3, [3])


async def test_bulk_names_the_archived_call_that_refuses(client: httpx.AsyncClient) -> None:
    call = await sync_to_async(ended_call)()
    await Call.objects.filter(pk=call.pk).aupdate(state="ARCHIVED")
    packets = [GOOD | {"call_id": call.call_id, "sequence": 9}, GOOD | {"call_id": "open"}]
    said = (await client.post("/v1/packets", json={"packets": packets})).json()
    assert said["accepted"] == 1
    assert "archived" in said["rejected"][0]["detail"]


@pytest.mark.parametrize(
    "body",
    [{}, {"packets": []}, {"packets": [GOOD] * 1001}, {"packets": 5}, [], {"packets": [1], "a": 1}],
)
async def test_a_broken_envelope_is_refused(client: httpx.AsyncClient, body: object) -> None:
    assert_refused(await client.post("/v1/packets", json=body), 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent", 5), ("agent", "x" * 201), ("agent", "a\0b"), ("direction", "up"),
        ("media", {"encoding": "audio/mp3"}), ("media", {"sample_rate": 1}),
        ("metadata", []), ("metadata", {"a": "b\0"}), ("metadata", {"a\0": "b"}),
        ("metadata", {"a": "x" * 20_000}), ("metadata", {"a": {"b": {"c": {"d": {"e": {"f": {
            "g": {"h": {}}}}}}}}}), ("colour", "red"),
    ],
)  # fmt: skip
async def test_bad_metadata_is_named(client: httpx.AsyncClient, field: str, value: object) -> None:
    detail = assert_refused(await client.put("/v1/call/a", json={field: value}), 422)
    assert detail[0]["field"].startswith(f"body.{field}")


@pytest.mark.parametrize("metadata", ['{"a": NaN}', '{"a": 1e400}', '{"a": "\\udfff"}'])
async def test_what_json_itself_forbids_is_refused(
    client: httpx.AsyncClient, metadata: str
) -> None:
    assert_refused(await client.put("/v1/call/a", content=f'{{"metadata": {metadata}}}'), 422)


@pytest.mark.parametrize(
    "query",
    [
        "state=LOST", "limit=0", "limit=501", "limit=x", "cursor=abc", "min_duration=nan",
        "min_duration=-1", "started_after=yesterday", "started_after=2026-01-01T00:00:00",
        "started_after=0.5", "started_before=1706745600", "q=%00", "colour=red",
        "sentiment=angry", "ai_outcome=x", "cursor=" + "9" * 30,
    ],
)  # fmt: skip
async def test_a_bad_filter_is_named(client: httpx.AsyncClient, query: str) -> None:
    detail = assert_refused(await client.get(f"/v1/calls?{query}"), 422)
    assert query.partition("=")[0] in str(detail)


@pytest.mark.parametrize(
    "moment",
    ["2026-01-01T00:00:00-22:51", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"],
)
async def test_a_time_in_any_zone_is_a_time(client: httpx.AsyncClient, moment: str) -> None:
    for name in ("started_after", "started_before"):
        answer = await client.get(f"/v1/calls?{name}={moment}")
        assert answer.status_code == 200, answer.text


async def test_a_number_without_a_fraction_is_whole(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/call/stream/a", content=packet("sequence", "5.0"))
    assert answer.json()["sequence"] == 5


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1", 404), ("GET", "/v1/", 404), ("GET", "/v1/nothing", 404),
        ("GET", "/v1/call/unknown", 404), ("GET", "/v1/call/unknown/status", 404),
        ("POST", "/v1/call/unknown/end", 404), ("POST", "/v1/call/unknown/reprocess", 404),
        ("POST", "/v1/call/unknown/archive", 404), ("GET", "/v1/call/unknown/transcript", 404),
        ("DELETE", "/v1/call/a", 405), ("GET", "/v1/call/stream/a", 405),
        ("POST", "/v1/calls", 405), ("GET", "/v1/packets", 405), ("POST", "/v1/stats", 405),
    ],
)  # fmt: skip
async def test_a_wrong_address_or_method_is_told_in_json(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert_refused(await client.request(method, path), status)


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"authorization": "Bearer"}, {"authorization": "Bearer x"}, {"x-api-key": ""},
        {"authorization": "Basic YTpi"}, {"x-api-key": "cc_aaaaaaaa_" + "a" * 43},
        {"authorization": "Bearer " + "x" * 5000}, {"x-api-key": "\xff\xfe"},
    ],
)  # fmt: skip
async def test_no_key_and_a_wrong_key_are_refused(headers: dict[str, str]) -> None:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as nobody:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        for method, path in [("GET", "/v1/stats"), ("POST", "/v1/call/stream/a")]:
            assert_refused(await nobody.request(method, path, headers=raw), 401)


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("read", "POST", "/v1/call/stream/a"), ("read", "POST", "/v1/packets"),
        ("read", "PUT", "/v1/call/a"), ("read", "POST", "/v1/call/a/end"),
        ("ingest", "GET", "/v1/call/a"), ("ingest", "GET", "/v1/calls"),
        ("ingest", "GET", "/v1/stats"), ("ingest", "GET", "/v1/call/a/status"),
        ("read", "POST", "/v1/call/a/reprocess"), ("ingest", "POST", "/v1/call/a/archive"),
        ("ingest", "GET", "/v1/call/a/transcript"),
    ],
)  # fmt: skip
async def test_a_key_of_another_scope_is_refused(
    client: httpx.AsyncClient, scope: str, method: str, path: str
) -> None:
    client.headers["authorization"] = f"Bearer {await sync_to_async(api_key)(scope)}"
    assert "no scope" in assert_refused(await client.request(method, path), 403)


async def test_a_host_that_is_not_ours_is_told_in_json(client: httpx.AsyncClient) -> None:
    assert_refused(await client.get("/v1/stats", headers={"host": "evil.example"}), 400)


async def test_the_documents_are_public() -> None:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as nobody:
        for path in ("/health", "/docs", "/v1/openapi.json"):
            assert (await nobody.get(path)).status_code == 200
