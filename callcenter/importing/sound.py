"""A WAV file as a stream of packets; never in memory as a whole, however long it is."""

from collections.abc import Iterator
from math import gcd

from callcenter.simulator.packets import BYTES, Packet
from callcenter.simulator.recordings import RATE, TRACKS
from callcenter.sound.g711 import to_ulaw
from callcenter.sound.resampling import resample
from callcenter.sound.wav import Wav

PART = 60  # seconds read at once
OVERLAP = 1  # seconds read beside a part, more than the resampling filter reaches


def packets(wav: Wav) -> Iterator[Packet]:
    """The channels side by side, in the order of time, numbered from 0."""
    sequence = 0
    for begin in range(0, wav.frames, PART * wav.rate):
        tracks = {
            track: _part(wav, number, begin) for number, track in enumerate(TRACKS[: wav.channels])
        }
        for at in range(0, max(map(len, tracks.values())), BYTES):
            for track, sound in tracks.items():
                offset = begin / wav.rate + at / RATE
                yield Packet(sequence, track, offset, sound[at : at + BYTES])
                sequence += 1


def _part(wav: Wav, channel: int, begin: int) -> bytes:
    """µ-law at `RATE` of the part that begins at this frame, as if all had been resampled."""
    step = wav.rate // gcd(wav.rate, RATE)
    overlap = OVERLAP * wav.rate // step * step
    first = max(begin - overlap, 0)
    sound = resample(wav.channel(channel, first, begin + PART * wav.rate + overlap), wav.rate, RATE)
    before = (begin - first) * RATE // wav.rate
    return to_ulaw(sound[before : before + PART * RATE])
