"""The sound of a call as it lies in its packets, of which only a stretch is read at a time."""

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

import numpy as np

from calls.ai.audio import Samples, TimeLine, decode
from calls.models import Call, Packet
from calls.states import Track

CALLS_KEPT = 8  # of which it is known where their packets lie
PACKETS_AT_ONCE = 200  # read and decoded


class PacketsGone(Exception):
    """Packets that were there a moment ago are not any more: the call was put away meanwhile."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Where the packets of one track lie, in sequence order; three equally long arrays."""

    track: str
    sequences: "array[int]"
    begins: "array[int]"  # samples from the start of the recording
    ends: "array[int]"

    @property
    def length(self) -> int:
        return self.ends[-1]

    def within(self, first: int, last: int) -> slice:
        """The packets with sound between two samples, the second excluded."""
        return slice(bisect_right(self.ends, first), bisect_left(self.begins, last))


@dataclass(frozen=True, slots=True)
class PacketAudio:
    """All tracks side by side on one time line; equal tags, equal sound."""

    call: int
    encoding: str
    rate: int
    lanes: tuple[Lane, ...]

    @property
    def tracks(self) -> tuple[str, ...]:
        return tuple(lane.track for lane in self.lanes)

    @property
    def length(self) -> int:
        return max((lane.length for lane in self.lanes), default=0)

    @property
    def tag(self) -> str:
        packets = "-".join(str(len(lane.sequences)) for lane in self.lanes)
        return f"{self.call}-{packets}-{self.length}-{self.rate}"

    @property
    def apart(self) -> dict[str, "PacketAudio"]:
        """Each track for itself, on the same time line."""
        return {lane.track: replace(self, lanes=(lane,)) for lane in self.lanes}

    def samples(self, first: int, last: int) -> Samples:
        """One row a sample, one column a track. Raises `PacketsGone`."""
        sound = np.zeros((last - first, len(self.lanes)), np.int16)
        for column, lane in enumerate(self.lanes):
            self._fill(sound[:, column], lane, first)
        return sound

    def _fill(self, sound: Samples, lane: Lane, first: int) -> None:
        wanted = lane.within(first, first + len(sound))
        sequences = lane.sequences[wanted]
        if not sequences:
            return
        places = dict(zip(sequences, lane.begins[wanted], strict=True))
        rows = Packet.objects.filter(
            call=self.call, track=lane.track, sequence__range=(sequences[0], sequences[-1])
        )
        pages = rows.pages("data", size=PACKETS_AT_ONCE)
        for _, sequence, data in chain.from_iterable(pages):
            # Others came since: they belong to a later version of the recording.
            if sequence in places:
                _copy(decode(data, encoding=self.encoding), sound, places.pop(sequence) - first)
        if places:
            raise PacketsGone


def packet_audio(call: Call) -> PacketAudio:
    """The call's sound as far as it has come; without tracks where nothing can be decoded."""
    return _lay_out(call.pk, call.packet_count, call.encoding, call.sample_rate)


@lru_cache(maxsize=CALLS_KEPT)
def _lay_out(call: int, packet_count: int, encoding: str, rate: int) -> PacketAudio:
    """Reads all packets once, for their lengths; `packet_count` parts the versions of a call."""
    found = _measure(call, encoding)
    start = min((timestamps[0] for _, _, timestamps in found.values()), default=0.0)
    lanes = [_lane(track, *found[track], rate, start) for track in Track.values if track in found]
    return PacketAudio(call, encoding, rate, tuple(lanes))


Measured = tuple["array[int]", "array[int]", "array[float]"]


def _measure(call: int, encoding: str) -> dict[str, Measured]:
    """Sequence, number of samples and timestamp of each packet that can be decoded, by track."""
    found: dict[str, Measured] = {}
    pages = Packet.objects.filter(call=call).pages(
        "track", "timestamp", "data", size=PACKETS_AT_ONCE
    )
    for _, sequence, track, timestamp, data in chain.from_iterable(pages):
        samples = decode(data, encoding=encoding)
        if samples is not None:
            empty = array("i"), array("i"), array("d")
            sequences, lengths, timestamps = found.setdefault(track, empty)
            sequences.append(sequence)
            lengths.append(len(samples))
            timestamps.append(timestamp)
    return found


def _lane(
    track: str,
    sequences: "array[int]",
    lengths: "array[int]",
    timestamps: "array[float]",
    rate: int,
    start: float,
) -> Lane:
    line = TimeLine(rate=rate, start=start)
    lane = Lane(track, sequences, array("i"), array("i"))
    for length, timestamp in zip(lengths, timestamps, strict=True):
        begin, room = line.place(length, timestamp)
        lane.begins.append(begin)
        lane.ends.append(begin + room)
    return lane


def _copy(samples: Samples | None, sound: Samples, at: int) -> None:
    """Puts samples at a place that may lie partly outside."""
    if samples is not None:
        samples = samples[max(-at, 0) : max(len(sound) - at, 0)]
        at = max(at, 0)
        sound[at : at + len(samples)] = samples
