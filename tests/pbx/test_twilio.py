"""Conversations of Twilio and Telnyx, frame by frame."""

import base64
import hashlib
import hmac
import json
import random
from typing import Any

import pytest

from calls.api.pbx import places
from calls.models import Call, Stream
from calls.states import EndReason, State
from tests.factories import api_key, fresh_id
from tests.pbx.talking import Pbx, audio, call, frames, in_database, packets, stored
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "0123456789abcdef0123456789abcdef"
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
STOP = {"event": "stop", "streamSid": "MZ1", "stop": {"accountSid": "AC1", "callSid": "CA1"}}


def start(sid: str, *tracks: str, **parameters: str) -> dict[str, Any]:
    return {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "accountSid": "AC1",
            "streamSid": "MZ1",
            "callSid": sid,
            "tracks": list(tracks or ("inbound",)),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        },
    }


def media(sound: bytes, track: str = "inbound", first: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "event": "media",
            "sequenceNumber": str(chunk + 1),
            "streamSid": "MZ1",
            "media": {
                "track": track,
                "chunk": str(chunk),
                "timestamp": str((chunk - 1) * 20 + 5),
                "payload": base64.b64encode(frame).decode(),
            },
        }
        for chunk, frame in enumerate(frames(sound), first)
    ]


async def twilio() -> tuple[Pbx, str]:
    return await Pbx("/pbx/twilio").dial(), await in_database(api_key)("ingest")


async def test_a_stream_with_two_tracks_is_stored_and_ends_by_stop() -> None:
    call_id, caller, agent = fresh_id(), audio(0.5, seed=2), audio(0.5, seed=3)
    pbx, key = await twilio()
    both = zip(media(caller), media(agent, "outbound"), strict=True)
    await pbx.say(CONNECTED, start(call_id, "inbound", "outbound", api_key=key))
    await pbx.say(*(frame for pair in both for frame in pair), STOP)
    await pbx.leave(1006)
    found = await call(call_id)
    assert (found.state, found.end_reason) == (State.COMPLETED, EndReason.HANGUP)
    assert await stored(call_id, "inbound") == caller
    assert await stored(call_id, "outbound") == agent
    assert (found.packet_count, found.missing) == (6, 0)
    channels = [stream.channel async for stream in Stream.objects.all()]
    assert channels == ["MZ1", "MZ1"]


async def test_a_stream_that_stopped_and_stays_open_is_closed() -> None:
    (pbx, key), call_id = await twilio(), fresh_id()
    await pbx.say(start(call_id, api_key=key), *media(audio(0.2)), STOP)
    assert await pbx.closed_with() == 1000
    assert (await call(call_id)).end_reason == EndReason.HANGUP


async def test_parameters_are_what_is_known_of_the_call_and_the_key_is_kept_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pbx, key = await twilio()
    said = {"agent": "Ann", "caller": "+49301", "ticket": "7", "queue": "x" * 300}
    await pbx.say(start("CA77", api_key=key, call_id="mine-1", **said), *media(audio(0.2)))
    await pbx.leave()
    found = await call("mine-1")
    assert (found.agent, found.caller, found.queue) == ("Ann", "+49301", "")
    assert found.metadata == {"ticket": "7"}
    assert "call mine-1: what the PBX says of its queue is not valid" in caplog.text
    assert key not in caplog.text


async def test_a_parameter_that_can_be_no_id_is_told_and_the_own_one_serves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (pbx, key), sid = await twilio(), fresh_id()
    await pbx.say(start(sid, api_key=key, call_id="no id"), *media(audio(0.2)), STOP)
    await pbx.leave()
    assert (await call(sid)).packet_count == 1
    assert "its call_id cannot be one" in caplog.text


async def test_lost_chunks_are_missing_and_a_gap() -> None:
    call_id, sound = fresh_id(), audio(2.0)
    pbx, key = await twilio()
    sent = media(sound)
    del sent[25:48]
    await pbx.say(start(call_id, api_key=key), *sent)
    await pbx.leave()
    found = await call(call_id)
    assert await stored(call_id) == sound[: 25 * 160] + sound[48 * 160 :]
    # 500 ms, then 460 ms that never came, then 1040 ms.
    assert [packet.sequence for packet in await packets(call_id)] == [1, 2, 3, 7, 8, 9, 10, 11, 12]
    assert (found.missing, await in_database(found.missing_ranges)()) == (3, [(4, 6)])
    before, after = (await packets(call_id))[2:4]
    assert after.timestamp - before.timestamp == pytest.approx(0.56)
    [gap] = found.metadata["gaps"]
    assert gap["why"] == "lost on the way"


async def test_one_lost_chunk_at_the_beginning_is_missing() -> None:
    call_id = fresh_id()
    pbx, key = await twilio()
    await pbx.say(start(call_id, api_key=key), *media(audio(0.4))[1:])
    await pbx.leave()
    assert await in_database((await call(call_id)).missing_ranges)() == [(1, 1)]


async def test_telnyx_is_understood_in_whatever_order() -> None:
    call_id, sound = fresh_id(), audio(1.0)
    pbx, key = await twilio()
    begin = {
        "event": "start",
        "sequence_number": "1",
        "stream_id": "32DE0DEA",
        "start": {
            "call_control_id": call_id,
            "from": "+13122010094",
            "to": "+13122123456",
            "custom_parameters": {"api_key": key},
            "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
        },
    }
    sent = media(sound)
    early, others = sent[0], sent[1:]
    for at in range(0, len(others), 8):
        part = others[at : at + 8]
        random.Random(at).shuffle(part)
        others[at : at + 8] = part
    stop = {"event": "stop", "sequence_number": "9", "stream_id": "32DE0DEA", "stop": {}}
    await pbx.say(early, begin, *others, stop)
    await pbx.leave()
    found = await call(call_id)
    assert await stored(call_id) == sound
    assert (found.encoding, found.missing) == ("audio/x-alaw", 0)
    assert (found.caller, found.callee) == ("+13122010094", "+13122123456")


async def test_digits_are_kept() -> None:
    call_id = fresh_id()
    pbx, key = await twilio()
    digit = {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "4"}}
    await pbx.say(start(call_id, api_key=key), digit, STOP)
    await pbx.leave()
    [kept] = (await call(call_id)).metadata["dtmf"]
    assert (kept["track"], kept["digit"]) == ("inbound", "4")


@pytest.mark.parametrize(("scopes", "code"), [(["read"], 4403), ([], 4401)])
async def test_a_wrong_key_is_refused(
    scopes: list[str], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    key = await in_database(api_key)(*scopes) if scopes else "cc_abcdefgh_" + "x" * 43
    pbx = await Pbx("/pbx/twilio").dial()
    await pbx.say(start(fresh_id(), api_key=key), *media(audio(0.2)))
    assert await pbx.closed_with() == code
    assert f"refused with {code}" in caplog.text
    assert key not in caplog.text


async def test_a_stream_counts_for_its_key_and_no_longer_among_strangers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "MAX_SOCKETS", 1)
    key, call_id = await in_database(api_key)("ingest"), fresh_id()
    first = await Pbx("/pbx/twilio").dial()
    assert await Pbx("/pbx/twilio").refusal() == 429
    await first.say(start(call_id, api_key=key))
    await in_database(until)(Call.objects.filter(call_id=call_id).exists, 5, "the call")
    second = await Pbx("/pbx/twilio").dial()
    await second.say(start(fresh_id(), api_key=key))
    assert await second.closed_with() == 4429
    await first.leave()


async def test_a_stream_that_is_gone_before_its_key_was_checked_leaves_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "MAX_SOCKETS", 1)
    key = await in_database(api_key)("ingest")
    for _ in range(3):
        pbx = await Pbx("/pbx/twilio").dial()
        await pbx.say(start(fresh_id(), api_key=key))
        await pbx.leave()


async def test_a_missing_key_is_refused() -> None:
    pbx = await Pbx("/pbx/twilio").dial()
    await pbx.say(start(fresh_id()))
    assert await pbx.closed_with() == 4401


@pytest.mark.parametrize(
    "frame",
    [
        "nonsense",
        "[]",
        '{"event": "media"}',
        '{"event": "media", "media": {"payload": 7}}',
        '{"event": "media", "media": {"payload": "§"}}',
        '{"event": "media", "media": {"payload": "AAAA", "chunk": "-1", "timestamp": "1e99"}}',
        '{"event": "media", "media": {"payload": "", "chunk": "99999999999999999999"}}',
        '{"event": "dtmf", "dtmf": {"digit": ["1"]}}',
        '{"event": "start", "start": {"tracks": 7, "mediaFormat": [], "customParameters": 1}}',
        json.dumps({"event": "x" * 60_000}),
    ],
)
async def test_garbage_harms_nothing(frame: str) -> None:
    call_id, sound = fresh_id(), audio(0.4)
    pbx, key = await twilio()
    first, *others = media(sound)
    await pbx.say(start(call_id, api_key=key), first, frame, b"\0" * 160, *others, STOP)
    await pbx.leave()
    assert (await stored(call_id)).replace(b"\0\0\0", b"") == sound.replace(b"\0\0\0", b"")


# Signatures ------------------------------------------------------------------------------------


def signed(url: str, token: str = TOKEN) -> tuple[bytes, bytes]:
    digest = hmac.new(token.encode(), url.encode(), hashlib.sha1).digest()
    return (b"x-twilio-signature", base64.b64encode(digest))


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"calls.example"), signed("wss://calls.example/pbx/twilio")],
        [(b"host", b"calls.example:443"), signed("wss://calls.example/pbx/twilio")],
        [(b"host", b"calls.example:8443"), signed("wss://calls.example:8443/pbx/twilio")],
        [(b"host", b"calls.example:8443"), signed("wss://calls.example/pbx/twilio")],
        [(b"host", b"calls.example"), signed("wss://calls.example:443/pbx/twilio")],
        [
            (b"host", b"web:8000"),
            (b"x-forwarded-host", b"calls.example"),
            signed("wss://calls.example/pbx/twilio"),
        ],
    ],
)
async def test_a_signed_stream_needs_no_key(
    headers: list[tuple[bytes, bytes]], settings: Any
) -> None:
    settings.TWILIO_AUTH_TOKEN = TOKEN
    call_id, sound = fresh_id(), audio(0.4)
    pbx = await Pbx("/pbx/twilio", *headers).dial()
    await pbx.say(CONNECTED, start(call_id), *media(sound), STOP)
    await pbx.leave()
    assert await stored(call_id) == sound


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [signed("wss://calls.example/pbx/twilio", "another-token-0000")],
        [signed("wss://other.example/pbx/twilio")],
        [(b"x-twilio-signature", b"\xff\xfe")],
    ],
)
async def test_a_wrong_signature_is_refused(
    headers: list[tuple[bytes, bytes]], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TWILIO_AUTH_TOKEN = TOKEN
    assert await Pbx("/pbx/twilio", (b"host", b"calls.example"), *headers).refusal() == 403
    assert "X-Twilio-Signature" in caplog.text
