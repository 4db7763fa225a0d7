"""Keys: made, used at their rate, revoked."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from pytest_django import Settings

from callcenter.asgi import application
from calls.api.auth import create_key, find_key
from calls.models import ApiKey, Packet
from tests.factories import NOW, SPEECHLESS, fresh_id

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def send(client: httpx.AsyncClient, secret: str, *, packets: int = 1) -> httpx.Response:
    rows = [
        {"call_id": fresh_id(), "sequence": 0, "data": SPEECHLESS, "timestamp": 1.5}
        for _ in range(packets)
    ]
    headers = {"x-api-key": secret}
    return await client.post("/v1/packets", json={"packets": rows}, headers=headers)


@sync_to_async
def key_at(rate: int | None) -> str:
    return create_key(name="test", scopes=["ingest"], rate=rate, now=NOW)[1]


async def test_a_revoked_key_is_refused_within_five_seconds(client: httpx.AsyncClient) -> None:
    secret = await key_at(None)
    assert (await send(client, secret)).status_code == 202
    await ApiKey.objects.aupdate(revoked_at=NOW)
    revoked = time.monotonic()
    while (await send(client, secret)).status_code == 202:
        assert time.monotonic() - revoked < 5
        await asyncio.sleep(0.1)
    assert (await send(client, secret)).status_code == 401


async def test_a_key_without_a_rate_is_not_held_up(client: httpx.AsyncClient) -> None:
    secret = await key_at(None)
    answers = [await send(client, secret, packets=500) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {202}


async def test_a_key_over_its_rate_is_told_when_to_come_again(client: httpx.AsyncClient) -> None:
    secret = await key_at(10)
    assert (await send(client, secret, packets=20)).status_code == 202
    refused = await send(client, secret)
    assert refused.status_code == 429
    assert "10 packets a second" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) in (1, 2)
    assert await Packet.objects.acount() == 20


async def test_a_key_that_waited_may_send_again(client: httpx.AsyncClient) -> None:
    secret = await key_at(10)
    await send(client, secret, packets=12)
    refused = time.monotonic()
    while (await send(client, secret)).status_code == 429:
        assert time.monotonic() - refused < 3
        await asyncio.sleep(0.05)


async def test_while_redis_is_away_the_rate_is_not_kept_and_that_is_logged(
    client: httpx.AsyncClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS = "redis://127.0.0.1:1/0"
    secret = await key_at(1)
    answers = [await send(client, secret, packets=5) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert "rate of key" in caplog.text


def test_a_key_is_shown_once_and_kept_as_a_digest(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", "pbx", "--scope=ingest", "--scope=read", "--rate=50")
    secret = capsys.readouterr().out.strip()
    key = ApiKey.objects.get()
    assert (key.name, key.scopes, key.rate) == ("pbx", ["ingest", "read"], 50)
    assert secret.startswith(f"cc_{key.prefix}_")
    assert secret.rpartition("_")[2] not in str(vars(key))


def test_a_key_past_its_time_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", "pbx", "--scope=read", "--expires=30d")
    secret = capsys.readouterr().out.strip()
    now = ApiKey.objects.get().created_at
    assert find_key(secret, now=now + timedelta(days=29, hours=23)) is not None
    assert find_key(secret, now=now + timedelta(days=30)) is None


@pytest.mark.parametrize("words", ["soon", "0", "4000d"])
def test_an_end_that_makes_no_sense_is_refused(words: str) -> None:
    with pytest.raises(CommandError, match="--expires"):
        call_command("create_api_key", "pbx", "--scope=read", f"--expires={words}")


def test_revoking_names_the_keys_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    key, _ = create_key(name="pbx", scopes=["ingest"], now=NOW)
    with pytest.raises(CommandError, match=rf"live keys: pbx \({key.prefix}\)"):
        call_command("revoke_api_key", "unknown")
    call_command("revoke_api_key", key.prefix)
    key.refresh_from_db()
    assert key.revoked_at
    call_command("revoke_api_key", key.prefix)
    assert "was revoked already" in capsys.readouterr().out


async def test_the_document_names_two_ways_to_bring_a_key(client: httpx.AsyncClient) -> None:
    document = (await client.get("/v1/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"Bearer", "X-API-Key"}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["security"] == [{"Bearer": []}, {"X-API-Key": []}]
