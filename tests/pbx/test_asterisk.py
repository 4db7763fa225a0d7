"""Conversations of Asterisk, frame by frame."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from django.test import AsyncClient
from django.utils import timezone

from calls.api.auth import revoke_key
from calls.api.pbx import conversation
from calls.ingest import carrier, session
from calls.models import ApiKey, Call, Stream
from calls.states import EndReason, State
from tests.factories import api_key, ended_call, fresh_id
from tests.pbx.talking import (
    Pbx,
    asterisk,
    audio,
    basic,
    call,
    frames,
    in_database,
    media_start,
    packets,
    plain_start,
    stored,
)
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("start", "answer"),
    [(media_start(), json.dumps({"command": "ANSWER"})), (plain_start(), "ANSWER")],
)
async def test_a_call_is_answered_and_stored_in_packets_of_200_ms(start: str, answer: str) -> None:
    call_id, sound = fresh_id(), audio(1.05)
    pbx = await asterisk(f"call_id={call_id}")
    await pbx.say(start)
    assert await pbx.hear() == answer
    await pbx.say(*frames(sound))
    await pbx.leave()
    found = await call(call_id)
    assert await stored(call_id) == sound
    assert [len(p.data) for p in await packets(call_id)] == [2136] * 5 + [536]
    assert (found.packet_count, found.last_sequence, found.missing) == (6, 6, 0)
    assert (found.state, found.end_reason) == (State.COMPLETED, EndReason.HANGUP)


async def test_a_request_without_the_upgrade_is_told_what_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await AsyncClient().get("/pbx/asterisk", {"call_id": "a"})
    assert (answer.status_code, answer["Upgrade"]) == (426, "websocket")
    assert "proxy" in answer.json()["detail"]
    assert "/pbx/asterisk was refused with 426" in caplog.text


async def test_a_flood_of_digits_leaves_room_for_those_of_other_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carrier, "MAX_NOTES", 500)
    one, other = fresh_id(), fresh_id()
    flood, pbx = await asterisk(f"call_id={one}"), await asterisk(f"call_id={other}")
    digit = {"event": "DTMF_END", "channel_id": "1.2", "digit": "5"}
    await flood.say(media_start(), *[digit] * 2000)
    await pbx.say(media_start(), digit)
    await flood.leave()
    await pbx.leave()
    assert len((await call(one)).metadata["dtmf"]) == 200
    assert len((await call(other)).metadata["dtmf"]) == 1


async def test_digits_of_many_calls_that_begin_at_once_are_kept() -> None:
    secret, names = await in_database(api_key)("ingest"), [fresh_id() for _ in range(120)]
    pbxs = [await asterisk(f"call_id={name}", secret=secret) for name in names]
    digit = {"event": "DTMF_END", "channel_id": "1.2", "digit": "5"}
    await asyncio.gather(*(pbx.say(media_start(), digit) for pbx in reversed(pbxs)))
    await asyncio.gather(*(pbx.leave() for pbx in pbxs))
    kept = [(await call(name)).metadata for name in names]
    assert [len(metadata.get("dtmf", [])) for metadata in kept] == [1] * len(names)


async def test_packets_follow_on_by_their_timestamps() -> None:
    call_id = fresh_id()
    pbx = await asterisk(f"call_id={call_id}")
    await pbx.say(media_start(), *frames(audio(1.0)))
    await pbx.leave()
    times = [packet.timestamp for packet in await packets(call_id)]
    steps = [round(b - a, 6) for a, b in pairwise(times)]
    assert steps == [0.2] * 4


async def test_what_the_address_says_stands_in_the_call() -> None:
    call_id = fresh_id()
    said = "agent=Ann+Lee&queue=north%20desk&caller=+4930123&callee=&track=outbound"
    pbx = await asterisk(f"call_id={call_id}&{said}")
    await pbx.say(media_start(), *frames(audio(0.2)))
    await pbx.leave()
    found = await call(call_id)
    assert (found.agent, found.queue, found.caller, found.callee) == (
        "Ann Lee",
        "north desk",
        "+4930123",
        "",
    )
    assert len(await packets(call_id, "outbound")) == 1


async def test_audio_before_the_start_is_kept() -> None:
    sound = audio(0.6)
    pbx = await asterisk()
    first, *others = frames(sound, 800)
    await pbx.say(first, media_start("pbx-7.1"), *others)
    await pbx.leave()
    assert await stored("pbx-7.1") == sound


async def test_audio_without_any_start_belongs_to_the_call_of_the_address() -> None:
    call_id, sound = fresh_id(), audio(0.3)
    pbx = await asterisk(f"call_id={call_id}")
    await pbx.say(*frames(sound))
    await pbx.leave()
    assert await stored(call_id) == sound


@pytest.mark.parametrize(
    ("form", "encoding", "rate"),
    [
        ("ulaw", "audio/x-mulaw", 8000),
        ("alaw", "audio/x-alaw", 8000),
        ("slin", "audio/l16", 8000),
        ("slin16", "audio/l16", 16_000),
    ],
)
async def test_the_call_has_the_format_that_came(form: str, encoding: str, rate: int) -> None:
    call_id, sound = fresh_id(), audio(0.8)
    pbx = await asterisk(f"call_id={call_id}")
    await pbx.say(media_start(form=form), *frames(sound, 640))
    await pbx.leave()
    found = await call(call_id)
    assert (found.encoding, found.sample_rate) == (encoding, rate)
    swapped = bytes(byte for at in range(0, len(sound), 2) for byte in (sound[at + 1], sound[at]))
    assert await stored(call_id) == (swapped if form.startswith("slin") else sound)


async def test_digits_are_kept() -> None:
    call_id = fresh_id()
    pbx = await asterisk(f"call_id={call_id}")
    digits = [{"event": "DTMF_END", "channel_id": "1.2", "digit": digit} for digit in "5#\0"]
    await pbx.say(media_start(), *digits, "DTMF_END channel_id:1.2 digit:5")
    await pbx.leave()
    kept = (await call(call_id)).metadata["dtmf"]
    assert [(one["track"], one["digit"]) for one in kept] == [
        ("inbound", "5"),
        ("inbound", "#"),
        ("inbound", "5"),
    ]


async def test_a_redial_goes_on_with_the_call_and_the_hole_is_a_gap() -> None:
    call_id, sound = fresh_id(), audio(0.4)
    first = await asterisk(f"call_id={call_id}")
    await first.say(media_start("1.1"), *frames(sound))
    await first.leave(1006)
    assert (await call(call_id)).state == State.IN_PROGRESS
    heard_until = (await Stream.objects.aget(channel="1.1")).heard_until
    assert heard_until is not None
    await Stream.objects.filter(channel="1.1").aupdate(heard_until=heard_until - 3)

    second = await asterisk(f"call_id={call_id}")
    await second.say(media_start("1.2"), *frames(sound))
    await second.leave()
    found = await call(call_id)
    assert await stored(call_id) == sound + sound
    assert (found.packet_count, found.end_reason) == (4, EndReason.HANGUP)
    # Three seconds, less what passed by the clock; the audio outran it.
    assert 10 <= found.missing <= 16
    [gap] = found.metadata["gaps"]
    assert (gap["track"], gap["why"]) == ("inbound", "the connection was lost")


async def test_two_sockets_with_different_tracks_make_one_call_that_the_last_one_ends() -> None:
    call_id = fresh_id()
    inbound = await asterisk(f"call_id={call_id}&track=inbound")
    outbound = await asterisk(f"call_id={call_id}&track=outbound")
    await inbound.say(media_start("1.1"), *frames(audio(0.4, seed=2)))
    await outbound.say(media_start("1.2"), *frames(audio(0.4, seed=3)))
    await inbound.hear()
    await outbound.hear()
    await outbound.leave()
    assert (await call(call_id)).state == State.IN_PROGRESS
    await inbound.leave()
    found = await call(call_id)
    assert (found.state, found.packet_count, found.missing) == (State.COMPLETED, 4, 0)
    assert await stored(call_id, "inbound") == audio(0.4, seed=2)
    assert await stored(call_id, "outbound") == audio(0.4, seed=3)


async def test_a_second_format_is_written_in_that_of_the_call() -> None:
    call_id, sound = fresh_id(), bytes(range(256)) * 10
    first = await asterisk(f"call_id={call_id}")
    await first.say(media_start("1.1", "alaw"), *frames(sound))
    await first.hear()
    await first.leave(1006)
    second = await asterisk(f"call_id={call_id}&track=outbound")
    await second.say(media_start("1.2", "ulaw"), *frames(sound))
    await second.leave()
    found = await call(call_id)
    assert found.encoding == "audio/x-alaw"
    assert await stored(call_id) == sound
    alaw = await stored(call_id, "outbound")
    assert len(alaw) == len(sound)
    assert alaw != sound


# Refused ---------------------------------------------------------------------------------------


async def refused(path: str, *headers: tuple[bytes, bytes], protocols: tuple[str, ...] = ()) -> int:
    return await Pbx(path, *headers, protocols=protocols).refusal()


async def test_a_wrong_password_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    assert await refused("/pbx/asterisk", basic("cc_abcdefgh_" + "x" * 43)) == 401
    assert "401: this API key is unknown or revoked" in caplog.text
    assert await refused("/pbx/asterisk") == 401
    assert await refused("/pbx/asterisk", (b"authorization", b"Basic %%%")) == 401


async def test_a_key_without_ingest_is_refused() -> None:
    assert await refused("/pbx/asterisk", basic(await in_database(api_key)("read"))) == 403


async def test_an_unknown_sub_protocol_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    key = basic(await in_database(api_key)("ingest"))
    assert await refused("/pbx/asterisk", key, protocols=("sip",)) == 400
    assert "none of the sub-protocols" in caplog.text


@pytest.mark.parametrize(
    "query",
    [
        "call_id=a%20b",
        "track=both",
        "colour=red",
        "agent=" + "x" * 201,
        "caller=%00",
        "call_id=a&call_id=b",
    ],
)
async def test_an_address_that_makes_no_sense_is_refused(query: str) -> None:
    key = basic(await in_database(api_key)("ingest"))
    assert await refused(f"/pbx/asterisk?{query}", key) == 422


async def test_an_unknown_address_is_refused() -> None:
    assert await refused("/pbx/nothing") == 404


async def test_an_archived_call_is_refused_with_words(caplog: pytest.LogCaptureFixture) -> None:
    archived = await in_database(ended_call)()
    await Call.objects.filter(pk=archived.pk).aupdate(state=State.ARCHIVED)
    pbx = await asterisk(f"call_id={archived.call_id}")
    await pbx.say(media_start(), *frames(audio(0.2)))
    await pbx.hear()
    assert await pbx.closed_with() == 4409
    assert "is archived" in caplog.text
    assert (await call(archived.call_id)).packet_count == 3


async def test_an_unknown_format_is_refused_with_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "calls.api.pbx")
    pbx = await asterisk("call_id=opus")
    await pbx.say(media_start(form="opus"))
    assert await pbx.closed_with() == 4415
    assert "'opus'" in caplog.text
    assert "lost" not in caplog.text


async def test_garbage_harms_nothing() -> None:
    call_id, sound = fresh_id(), audio(0.4)
    pbx = await asterisk(f"call_id={call_id}")
    await pbx.say("{", "[]", "{}", "[" * 50_000, "\0", " ", '{"event": 7}', media_start())
    await pbx.say(media_start("other", "slin16"), *frames(sound), '{"event": "MEDIA_START"}')
    await pbx.leave()
    assert await stored(call_id) == sound


@pytest.mark.parametrize(("size", "count"), [(1, 600), (16_000, 6)])
async def test_far_too_much_is_no_call(
    size: int, count: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "FRAMES_AT_ONCE", 100)
    pbx = await asterisk(f"call_id={fresh_id()}")
    await pbx.say(media_start())
    await pbx.hear()
    await pbx.say(*[b"\xff" * size] * count)
    assert await pbx.closed_with() == 4429
    assert "frames a second" in caplog.text


async def test_a_socket_that_says_nothing_is_closed(
    monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(conversation, "START_WITHIN", 0.1)
    settings.TRUSTED_PROXIES = 1
    secret = await in_database(api_key)("ingest")
    forwarded = (b"x-forwarded-for", b"203.0.113.9, 198.51.100.7")
    pbx = await Pbx("/pbx/asterisk?call_id=silent", basic(secret), forwarded).dial()
    assert await pbx.closed_with() == 4408
    assert "asterisk (no call yet) from 198.51.100.7: refused with 4408" in caplog.text
    assert not await Call.objects.filter(call_id="silent").aexists()


async def test_a_key_has_so_many_sockets_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    secret = await in_database(api_key)("ingest", rate=10)
    first, second = [await asterisk(secret=secret) for _ in range(2)]
    assert await Pbx("/pbx/asterisk", basic(secret)).refusal() == 429
    assert "2 sockets are open with this key" in caplog.text
    await first.leave()
    for pbx in (second, await asterisk(), await asterisk(secret=secret)):
        await pbx.leave()


async def test_a_key_that_is_revoked_ends_the_sockets_that_it_let_in(settings: Any) -> None:
    settings.CALL_IDLE_TIMEOUT = 1.0  # its sockets are looked after as often as that needs
    secret, call_id = await in_database(api_key)("ingest"), fresh_id()
    pbx, other = await asterisk(f"call_id={call_id}", secret=secret), await asterisk("call_id=b")
    for each in (pbx, other):
        await each.say(media_start())
        await each.hear()
    await in_database(until)(Call.objects.filter(call_id=call_id).exists, 5, "the call")
    key = await ApiKey.objects.aget(prefix=secret[3:11])
    await in_database(revoke_key)(key, now=timezone.now(), actor="test")
    assert await pbx.closed_with() == 4401
    assert await other.socket.receive_nothing()
    await other.leave()


async def test_a_call_that_can_have_no_id_is_refused() -> None:
    pbx = await asterisk()
    await pbx.say(media_start("no id can be this"))
    assert await pbx.closed_with() == 4422
