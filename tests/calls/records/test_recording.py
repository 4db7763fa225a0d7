"""The recording of a call, made of its packets stretch by stretch."""

import base64
import io
import wave

import numpy as np
import pytest

from calls.ai.audio import Piece, assemble_tracks
from calls.ingest import metadata
from calls.models import Call, Packet
from calls.records import recording
from calls.records.packet_audio import PacketsGone, packet_audio
from calls.records.recording import NoRecording, Recording, recording_of
from calls.records.waveform import peaks
from tests.factories import NOW, ended_call, fresh_id, send

pytestmark = pytest.mark.django_db

RATE = 8000
BEGAN = 1_706_745_600.0


def noise(seconds: float, seed: int = 1) -> str:
    codes = np.random.default_rng(seed).integers(0, 256, round(seconds * RATE), np.uint8)
    return base64.b64encode(codes.tobytes()).decode()


def spoken_call(*packets: tuple[str, float, float]) -> Call:
    """A call from (track, second, seconds) of each packet."""
    call_id = fresh_id()
    for sequence, (track, at, seconds) in enumerate(packets):
        data = noise(seconds, sequence)
        send(call_id, sequence, data=data, timestamp=BEGAN + at, track=track)
    return Call.objects.get(call_id=call_id)


def whole(call: Call) -> bytes:
    found = recording_of(call)
    return found.read(0, found.size)


def columns(wav: bytes) -> "np.typing.NDArray[np.int16]":
    with wave.open(io.BytesIO(wav)) as reader:
        assert (reader.getsampwidth(), reader.getframerate()) == (2, RATE)
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
        return samples.reshape(-1, reader.getnchannels())


TALK = (
    ("inbound", 0.0, 0.5),
    ("outbound", 0.3, 0.5),
    ("inbound", 1.5, 0.25),
    ("outbound", 0.8, 0.2),
    ("outbound", 30.0, 0.4),
)


def test_the_recording_is_what_the_ai_service_hears() -> None:
    call = spoken_call(*TALK)
    pieces = {
        track: [
            Piece(p.data, p.timestamp)
            for p in Packet.objects.filter(call=call, track=track).order_by("sequence")
        ]
        for track in ("inbound", "outbound")
    }
    heard = assemble_tracks(pieces, encoding=call.encoding, rate=RATE)
    left, right = columns(whole(call)).T
    for track, side in [("inbound", left), ("outbound", right)]:
        samples = heard[track].samples
        assert (side[: len(samples)] == samples).all()
        assert not side[len(samples) :].any()
    assert len(left) == max(len(one.samples) for one in heard.values())


def test_one_track_is_mono() -> None:
    assert columns(whole(spoken_call(("outbound", 0.0, 0.5)))).shape == (4000, 1)


def test_the_caller_is_on_the_left() -> None:
    call = spoken_call(("outbound", 0.0, 0.1), ("inbound", 0.1, 0.1))
    left, right = columns(whole(call)).T
    assert not left[:800].any()
    assert not right[800:].any()
    assert left[800:].any()
    assert right[:800].any()


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 44), (0, 1), (10, 60), (43, 45), (44, 46), (45, 47), (46, 10_001), (9_999, 20_000)],
)
def test_any_stretch_is_as_in_the_whole(first: int, last: int) -> None:
    call = spoken_call(*TALK)
    assert recording_of(call).read(first, last) == whole(call)[first:last]


def test_the_pieces_of_a_long_recording_join_without_a_seam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = spoken_call(*TALK)
    found = recording_of(call)
    monkeypatch.setattr(recording, "AT_ONCE", 1001)
    joined = b"".join(found.read(*one) for one in found.stretches(3, found.size))
    assert joined == whole(call)[3:]


def test_what_cannot_be_decoded_is_left_out() -> None:
    call = spoken_call(*TALK)
    before = whole(call)
    send(call.call_id, 5, data="words among the audio", timestamp=BEGAN + 40)
    call.refresh_from_db()
    assert whole(call) == before


def test_other_media_types_keep_their_rate() -> None:
    call_id = fresh_id()
    media = {"encoding": "audio/l16", "sample_rate": 16_000}
    metadata.describe(call_id, media, now=NOW)
    samples = np.array([1, -2, 300, -32768], ">i2")
    send(call_id, 0, data=base64.b64encode(samples.tobytes()).decode())
    with wave.open(io.BytesIO(whole(Call.objects.get(call_id=call_id)))) as reader:
        assert reader.getframerate() == 16_000
        assert np.frombuffer(reader.readframes(4), "<i2").tolist() == samples.tolist()


def test_a_call_without_packets_has_no_recording() -> None:
    call = metadata.describe(fresh_id(), {}, now=NOW)
    with pytest.raises(NoRecording, match="not one packet"):
        recording_of(call)


def test_a_call_of_words_alone_has_no_recording() -> None:
    call_id = fresh_id()
    send(call_id, 0, 1, data="no audio!")
    with pytest.raises(NoRecording, match="none of its packets holds audio"):
        recording_of(Call.objects.get(call_id=call_id))


def test_a_call_that_goes_on_gets_a_longer_recording_of_another_tag() -> None:
    call = spoken_call(*TALK)
    before = recording_of(call)
    send(call.call_id, 9, data=noise(1.0), timestamp=BEGAN + 31, track="inbound")
    call.refresh_from_db()
    after = recording_of(call)
    assert after.size > before.size
    assert after.sound.tag != before.sound.tag


def test_a_packet_that_came_since_is_not_mixed_in() -> None:
    call_id = fresh_id()
    for sequence in (0, 2):
        send(call_id, sequence, data=noise(0.5), timestamp=BEGAN + sequence)
    before = recording_of(Call.objects.get(call_id=call_id))
    then = before.read(0, before.size)
    send(call_id, 1, data=noise(0.5, 9), timestamp=BEGAN + 1)
    assert before.read(0, before.size) == then


def test_packets_that_are_gone_are_not_taken_for_silence() -> None:
    call = spoken_call(*TALK)
    found = recording_of(call)
    Packet.objects.filter(call=call).delete()
    with pytest.raises(PacketsGone):
        found.read(0, found.size)


def test_a_stretch_reads_only_its_own_packets() -> None:
    call = spoken_call(*(("inbound", n * 0.5, 0.5) for n in range(10)))
    found = packet_audio(call)
    Packet.objects.filter(call=call).exclude(sequence__in=[4, 5]).delete()
    assert found.samples(4 * 4000, 6 * 4000).any()


def test_the_size_of_four_hours_is_told_without_making_them() -> None:
    class FourHours:
        tracks, rate, length, tag = ("inbound", "outbound"), 48_000, 4 * 3600 * 48_000, "long"

        def samples(self, first: int, last: int) -> "np.typing.NDArray[np.int16]":
            assert last - first < 1000
            return np.zeros((last - first, 2), np.int16)

    long = Recording(FourHours())
    assert long.size == 44 + 4 * 3600 * 48_000 * 4
    assert len(long.read(long.size - 100, long.size)) == 100


def test_the_waveform_shows_where_it_is_loud() -> None:
    call_id = fresh_id()
    loud, quiet = (base64.b64encode(bytes([code]) * 4000).decode() for code in (0x00, 0xFF))
    for sequence, data in enumerate([quiet, loud, quiet, quiet]):
        send(call_id, sequence, data=data, timestamp=BEGAN + sequence * 0.5)
    found = peaks(packet_audio(Call.objects.get(call_id=call_id)))
    assert found == {"inbound": [0] * 250 + [99] * 250 + [0] * 500}


def test_the_waveform_of_a_short_call_has_a_column_a_sample() -> None:
    call_id = fresh_id()
    send(call_id, 0, data=base64.b64encode(b"\x00\xff\x00").decode())
    assert peaks(packet_audio(Call.objects.get(call_id=call_id))) == {"inbound": [99, 0, 99]}


def test_the_waveform_is_the_same_however_little_is_read_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = packet_audio(spoken_call(*TALK))
    at_once = peaks(sound)
    monkeypatch.setattr("calls.records.waveform.AT_ONCE", 997)
    assert peaks(sound) == at_once


def test_silence_that_was_sent_is_a_recording() -> None:
    assert not columns(whole(ended_call())).any()
