"""Packets to audio."""

import base64
import io
import wave

import numpy as np
import pytest

from calls.ai.audio import MAX_GAP, MAX_LENGTH, Audio, Piece, assemble, assemble_tracks, decode

MULAW, ALAW, L16 = "audio/x-mulaw", "audio/x-alaw", "audio/l16"
RATE = 8000
LOUD = 0x00  # the lowest µ-law code


def piece(at: float, seconds: float = 0.02, code: int = LOUD) -> Piece:
    return Piece(base64.b64encode(bytes([code]) * round(seconds * RATE)).decode(), at)


def track(*pieces: Piece, start: float | None = None) -> Audio:
    begin = pieces[0].timestamp if start is None else start
    return assemble(pieces, encoding=MULAW, rate=RATE, start=begin)


@pytest.mark.parametrize(
    ("encoding", "raw", "value"),
    [
        (MULAW, b"\xff", 0), (MULAW, b"\x00", -32124), (MULAW, b"\x80", 32124),
        (ALAW, b"\xd5", 8), (ALAW, b"\x2a", -32256), (ALAW, b"\xaa", 32256),
        (L16, b"\x01\x02", 0x0102), (L16, b"\xff\xfe", -2),
    ],
)  # fmt: skip
def test_codes_become_the_values_of_the_standard(encoding: str, raw: bytes, value: int) -> None:
    samples = decode(base64.b64encode(raw).decode(), encoding=encoding)
    assert samples is not None
    assert samples.tolist() == [value]


@pytest.mark.parametrize("data", ["", "not base64!", "QUJD\n", "QUJ", "QUJDRA=", "ÄÖÜ", "===="])
def test_what_is_not_strict_base64_is_left_out(data: str) -> None:
    assert decode(data, encoding=MULAW) is None


def test_half_a_sample_is_dropped() -> None:
    samples = decode(base64.b64encode(b"\x00\x01\x02").decode(), encoding=L16)
    assert samples is not None
    assert samples.tolist() == [1]


def test_packets_that_follow_on_leave_no_silence() -> None:
    audio = track(piece(0.0), piece(0.02), piece(0.04))
    assert audio.seconds == pytest.approx(0.06)
    assert audio.silence == 0


def test_a_gap_becomes_silence_by_the_timestamps() -> None:
    audio = track(piece(0.0), piece(0.06))
    assert audio.seconds == pytest.approx(0.08)
    assert audio.silence == pytest.approx(0.04)
    assert not audio.samples[160:480].any()
    assert audio.samples[480:].all()


def test_a_long_gap_becomes_ten_seconds() -> None:
    audio = track(piece(0.0), piece(3600.0), piece(3600.02))
    assert audio.seconds == pytest.approx(MAX_GAP + 0.06)


def test_equal_timestamps_follow_on() -> None:
    assert track(piece(5.0), piece(5.0), piece(5.0)).seconds == pytest.approx(0.06)


def test_backward_timestamps_follow_on_and_later_gaps_are_seen_again() -> None:
    audio = track(piece(100.0), piece(40.0), piece(41.02))
    assert audio.seconds == pytest.approx(0.06 + 1.0)


def test_the_jitter_of_a_clock_does_not_add_up() -> None:
    pieces = [piece(n * 0.02 + (n % 3) * 0.003) for n in range(500)]
    assert track(*pieces).seconds == pytest.approx(10.0, abs=0.02)


def test_a_call_is_cut_at_four_hours() -> None:
    long = piece(0.0, 3600.0)
    audio = track(*(Piece(long.data, 3600.0 * n) for n in range(5)))
    assert audio.seconds == MAX_LENGTH


def test_both_tracks_share_one_time_line() -> None:
    tracks = assemble_tracks(
        {"inbound": [piece(10.0)], "outbound": [piece(12.0)]}, encoding=MULAW, rate=RATE
    )
    assert tracks["inbound"].seconds == pytest.approx(0.02)
    assert tracks["outbound"].seconds == pytest.approx(2.02)


def test_a_track_where_nothing_decodes_has_no_audio() -> None:
    tracks = {"inbound": [Piece("hello!", 1.0)], "outbound": []}
    assert assemble_tracks(tracks, encoding=MULAW, rate=RATE) == {}


def test_words_among_the_audio_do_not_move_the_time_line() -> None:
    tracks = {"inbound": [Piece("hello!", 1.0), piece(50.0)]}
    audio = assemble_tracks(tracks, encoding=MULAW, rate=RATE)["inbound"]
    assert audio.seconds == pytest.approx(0.02)


def test_the_wav_holds_the_samples() -> None:
    audio = track(piece(0.0, 0.5))
    with wave.open(io.BytesIO(audio.wav())) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, RATE)
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
    assert (samples == audio.samples).all()
