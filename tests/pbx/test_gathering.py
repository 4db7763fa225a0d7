"""Frames into packets: when they were spoken, what was lost, what order they have."""

from typing import Any
from uuid import uuid4

import pytest

from calls.ingest import line as lines
from calls.ingest.gathering import Gatherer, Packet
from calls.ingest.line import Line, Room
from calls.ingest.media import TELEPHONE, Media, converted
from calls.ingest.ordering import Ordering
from calls.ingest.streams import Note, Opened, Opening
from calls.states import Encoding

FRAME = b"\x01" * 160


def gather(*arrivals: float) -> list[Packet]:
    """The packets of frames that came at these times."""
    packets: list[Packet] = []
    gatherer = Gatherer(TELEPHONE, packets.append)
    for now in arrivals:
        gatherer.add(FRAME, now=now)
    gatherer.flush(now=arrivals[-1])
    return packets


def spoken(start: float, count: int) -> list[float]:
    return [start + 0.02 * n for n in range(count)]


def test_frames_that_waver_follow_on() -> None:
    packets = gather(*[at + (n % 3) * 0.015 for n, at in enumerate(spoken(100.0, 30))])
    assert [round(packet.timestamp, 3) for packet in packets] == [100.0, 100.2, 100.4]


def test_a_burst_after_a_stall_leaves_no_gap() -> None:
    packets = gather(*spoken(100.0, 10), *[103.2] * 160, *spoken(103.22, 10))
    assert [round(p.timestamp, 3) for p in packets] == [round(100 + 0.2 * n, 3) for n in range(18)]


def test_a_pause_is_silence() -> None:
    packets = gather(*spoken(100.0, 10), *spoken(130.0, 20))
    assert [round(packet.timestamp, 3) for packet in packets] == [100.0, 130.0, 130.2]


def test_a_large_frame_becomes_several_packets() -> None:
    packets: list[Packet] = []
    gatherer = Gatherer(TELEPHONE, packets.append)
    gatherer.add(bytes(4000), now=1.0)
    gatherer.flush(now=1.0)
    assert [(len(p.raw), round(p.until, 3)) for p in packets] == [
        (1600, 1.2),
        (1600, 1.4),
        (800, 1.5),
    ]


def test_chunks_are_given_once_in_order() -> None:
    given: list[Any] = []
    ordering = Ordering(given.append, lambda count, what: given.append(-count))
    for chunk in (2, 1, 1, 3, 5, 2):
        ordering.take(chunk, chunk)
    ordering.flush()
    assert given == [1, 2, 3, -1, 5]


def test_a_chunk_that_does_not_come_is_given_up() -> None:
    given: list[Any] = []
    ordering = Ordering(given.append, lambda count, what: given.append(-count))
    for chunk in range(3, 60):
        ordering.take(chunk, chunk)
    assert given[:2] == [-2, 3]


def a_line(room: int = 1_000_000) -> tuple[Line, list[Note]]:
    notes: list[Note] = []
    opening = Opening(uuid4(), "call", "inbound", "asterisk", "1.1", TELEPHONE)
    line = Line(opening, Room(room), notes.append)
    line.opened = Opened(TELEPHONE)
    return line, notes


def test_what_finds_no_room_is_a_gap_of_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_WAITING", 3)
    line, notes = a_line()
    line.hear(FRAME * 50, now=100.0)
    assert len(line.due(100)) == 3
    line.stored(3)
    line.hear(FRAME * 10, now=101.0)
    [packet] = line.due(100)
    assert (packet.place, packet.skipped, round(packet.timestamp, 3)) == (4, 2, 101.0)
    assert [(note.kind, note.entry["from"], note.entry["to"]) for note in notes] == [
        ("gaps", "1970-01-01T00:01:40.600Z", "1970-01-01T00:01:41.000Z")
    ]


def test_what_found_no_room_at_the_end_is_a_gap_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_WAITING", 3)
    line, notes = a_line()
    line.hear(FRAME * 50, now=100.0)
    line.flush(now=101.0)
    [note] = notes
    assert (note.kind, note.entry["from"], note.entry["to"]) == (
        "gaps",
        "1970-01-01T00:01:40.600Z",
        "1970-01-01T00:01:41.000Z",
    )


def test_all_lines_together_have_so_much_room_and_give_it_back() -> None:
    line, _ = a_line(room=3000)
    line.hear(FRAME * 50, now=100.0)
    assert len(line.due(100)) == 2
    line.stored(2)
    line.hear(FRAME * 10, now=101.0)
    assert line.waits


def test_chunks_that_jump_are_a_gap_of_ten_minutes_at_most() -> None:
    line, notes = a_line()
    line.hear(FRAME, now=10_000.0, chunk=1)
    line.hear(FRAME * 50, now=10_000.0, chunk=2**31)
    line.flush(now=10_000.0)
    assert [packet.skipped for packet in line.due(100)][:2] == [0, 3000]
    assert notes[0].entry["from"] == "1970-01-01T02:36:40.000Z"


def test_what_is_not_stored_yet_is_given_again_as_it_was() -> None:
    line, _ = a_line()
    line.hear(FRAME * 50, now=100.0)
    assert line.due(3) == line.due(10)[:3]


def test_g711_is_converted_code_by_code_and_linear_audio_by_its_samples() -> None:
    ulaw, alaw = Media(Encoding.MULAW, 8000), Media(Encoding.ALAW, 8000)
    wide = Media(Encoding.L16, 16_000, swapped=True)
    every = bytes(range(256))
    once = converted(every, ulaw, alaw)
    assert converted(converted(once, alaw, ulaw), ulaw, alaw) == once
    assert converted(b"\x01\x02\x03\x04\x05", wide, Media(Encoding.L16, 16_000)) == b"\2\1\4\3"
    assert len(converted(bytes(6400), wide, ulaw)) == 1600
    assert set(converted(bytes(6400), wide, ulaw)) <= {0xFF, 0x7F}
