"""WAV files, G.711 and sampling rates."""

import io
import struct
import wave

import numpy as np
import pytest

from callcenter.sound.g711 import Samples, from_ulaw, to_ulaw
from callcenter.sound.resampling import resample
from callcenter.sound.wav import Format, NotAWav, read_wav, ulaw_file

RATE = 8_000


def tone(hertz: float, rate: int, seconds: float = 1.0) -> Samples:
    times = np.arange(round(rate * seconds)) / rate
    samples: Samples = np.rint(10_000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)
    return samples


def wav(
    data: bytes, *, code: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16
) -> bytes:
    """A WAV file by hand, for what the standard library does not write."""
    size = channels * bits // 8
    header = struct.pack("<HHIIHH", code, channels, rate, rate * size, size, bits)
    chunks = b"fmt " + struct.pack("<I", len(header)) + header
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_what_the_standard_library_writes_is_read() -> None:
    target = io.BytesIO()
    with wave.open(target, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(44_100)
        writer.writeframes(np.array([[1, 2], [3, 4], [5, 6]], "<i2").tobytes())
    found = read_wav(memoryview(target.getvalue()))
    assert (found.rate, found.channels, found.frames) == (44_100, 2, 3)
    assert found.channel(1).tolist() == [2, 4, 6]
    assert found.mono(1).tolist() == [3, 5]


@pytest.mark.parametrize(
    ("code", "raw", "samples"),
    [
        (Format.ULAW, b"\xff\x80\x00", [0, 32_124, -32_124]),
        (Format.ALAW, b"\xd5\xaa\x2a", [8, 32_256, -32_256]),
    ],
)
def test_g711_is_read(code: Format, raw: bytes, samples: list[int]) -> None:
    assert read_wav(memoryview(wav(raw, code=code, bits=8))).mono().tolist() == samples


def test_every_ulaw_code_comes_back_from_its_sample() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # the second zero
    assert to_ulaw(from_ulaw(codes)) == codes


def test_what_is_too_loud_for_ulaw_is_clipped() -> None:
    loudest = np.array([-32_768, 32_767], np.int16)
    assert to_ulaw(loudest) == b"\x00\x80"


def test_a_ulaw_file_comes_back_as_it_was_written() -> None:
    left, right = to_ulaw(tone(440, RATE)), to_ulaw(tone(880, RATE))
    found = read_wav(memoryview(ulaw_file([left, right], RATE)))
    assert [to_ulaw(found.channel(n)) for n in (0, 1)] == [left, right]


@pytest.mark.parametrize("left_open", [0, 0xFFFFFFFF])
def test_a_length_left_open_reaches_to_the_end(left_open: int) -> None:
    raw = bytearray(wav(b"\1\0" * 100))
    raw[40:44] = struct.pack("<I", left_open)
    assert read_wav(memoryview(raw)).frames == 100


def test_a_file_cut_short_gives_what_is_there() -> None:
    assert read_wav(memoryview(wav(b"\1\0" * 100)[:-51])).frames == 74


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not a WAV file"),
        (b"ID3\4" * 100, "not a WAV file"),
        (wav(b"")[:20], "no sound"),
        (wav(b"\0" * 8)[:12] + b"data\4\0\0\0\0\0\0\0", "before it says"),
        (wav(b"\0" * 6, bits=24), "16-bit PCM"),
        (wav(b"\0" * 6, code=3), "16-bit PCM"),
        (wav(b"\0" * 6, channels=3), "3 channels"),
        (wav(b"\0" * 6, channels=0), "0 channels"),
        (wav(b"\0" * 6, rate=4_000), "4000 Hz"),
        (wav(b"\0" * 6, rate=0), "0 Hz"),
        (wav(b"\0" * 8)[:12] + b"junk\0\0\0\0" * 2_000 + wav(b"\0" * 8)[12:], "no sound"),
    ],
)
def test_what_is_not_a_wav_file_is_refused_in_words(raw: bytes, why: str) -> None:
    with pytest.raises(NotAWav, match=why):
        read_wav(memoryview(raw))


@pytest.mark.parametrize("source", [8_000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("target", [8_000, 16_000])
def test_a_tone_keeps_its_pitch_and_loudness_at_another_rate(source: int, target: int) -> None:
    made = resample(tone(1_000, source), source, target)
    wanted = tone(1_000, target)
    assert len(made) == len(wanted)
    inner = slice(200, -200)
    assert np.abs(made[inner].astype(int) - wanted[inner]).max() <= 3


def test_what_the_lower_rate_cannot_carry_is_gone() -> None:
    made = resample(tone(4_400, 16_000), 16_000, 8_000)
    assert np.abs(made[200:-200]).max() <= 3


def test_no_sound_stays_no_sound() -> None:
    assert len(resample(np.zeros(0, np.int16), 8_000, 16_000)) == 0
