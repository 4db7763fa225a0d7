"""The figures and the geometry of a call's charts."""

import pytest

from calls.ai.transcription import Segment
from calls.models import Call, Duplicate, Recording, Utterance
from calls.records import archive as archiving
from calls.records.archive import archive
from calls.records.picture import COLUMNS
from dashboard import call_page
from dashboard.conversation import Conversation, conversation
from dashboard.packet_strip import Stretch, Strip
from dashboard.rights import Rights
from tests.dashboard.outcomes import finish_run, transcribed_call
from tests.dashboard.people import signed_in
from tests.factories import NOW, ended_call, fresh_id, send


def said(track: str, start: float, end: float, score: float = 0.0) -> Utterance:
    return Utterance(track=track, start=start, end=end, text="words", score=score)


def shares(found: Conversation | None) -> dict[str, tuple[float, float]]:
    assert found
    return {one.kind: (one.seconds, one.percent) for one in found.shares}


def test_the_time_is_parted_among_those_who_talk() -> None:
    found = conversation([said("inbound", 0, 4), said("outbound", 6, 8), said("inbound", 8, 10)])
    assert shares(found) == {"inbound": (6, 60), "outbound": (2, 20), "silence": (2, 20)}


def test_the_silence_after_the_last_word_counts() -> None:
    found = conversation([said("inbound", 0, 4), said("outbound", 6, 8)], length=20)
    assert shares(found) == {"inbound": (4, 20), "outbound": (2, 10), "silence": (14, 70)}
    assert found
    assert found.moods[0].path == "M100 50"


def test_a_word_after_the_end_is_not_cut_off() -> None:
    assert shares(conversation([said("inbound", 0, 10)], length=9.9))["silence"] == (0, 0)


@pytest.mark.django_db
def test_a_result_knows_how_long_the_recording_was() -> None:
    call = finish_run(ended_call(packets=200), [Segment(0.0, 1.0, "hello", 0.9)])
    assert call.result.seconds == pytest.approx(4.0)
    assert "Silence <b>75 %</b>" in section(call)


def test_what_both_say_at_once_is_nobodys_own() -> None:
    found = conversation([said("inbound", 0, 6), said("outbound", 4, 10)])
    assert shares(found) == {
        "inbound": (4, 40),
        "outbound": (4, 40),
        "both": (2, 20),
        "silence": (0, 0),
    }


def test_who_overlaps_himself_does_not_talk_longer() -> None:
    found = conversation([said("inbound", 0, 6), said("inbound", 2, 5), said("outbound", 8, 10)])
    assert shares(found)["inbound"] == (6, 60)


def test_the_shares_stand_side_by_side() -> None:
    found = conversation([said("inbound", 0, 4), said("outbound", 6, 8)])
    assert found
    assert [(one.begin, one.percent) for one in found.shares] == [(0, 50), (50, 25), (75, 25)]


@pytest.mark.parametrize("utterances", [[], [said("inbound", 0, 0)]])
def test_without_a_spoken_second_there_is_no_conversation(utterances: list[Utterance]) -> None:
    assert conversation(utterances) is None


def test_the_mood_is_a_line_over_the_call() -> None:
    found = conversation([said("inbound", 0, 2, -1), said("inbound", 8, 10, 0.5)])
    assert found
    [mood] = found.moods
    assert mood.path == "M100 100L900 25"
    assert mood.words == "Caller: from −1.00 to +0.50, lowest −1.00 at 0:00."  # noqa: RUF001


def test_of_very_many_utterances_some_share_a_point() -> None:
    found = conversation([said("inbound", n, n + 1, (-1) ** n) for n in range(5000)])
    assert found
    points = found.moods[0].points
    assert len(points) == 200
    assert all(48 <= y <= 52 for _, y in points)


def section(call: Call) -> str:
    return call_page.sections(call.call_id, Rights(), since=0.0)["conversation"]


def strip(call: Call) -> Strip:
    call.refresh_from_db()
    found = Strip.of(call)
    assert found
    return found


def kinds(found: Strip) -> list[tuple[str, int]]:
    return [(one.kind, one.width) for one in found.received]


@pytest.mark.django_db
def test_a_strip_begins_with_the_first_sequence_that_is_expected() -> None:
    for first in (0, 1):
        call_id = fresh_id()
        send(call_id, first, 4)
        found = strip(Call.objects.get(call_id=call_id))
        assert (found.first, found.last, found.width) == (first, 4, 5 - first)
        assert kinds(found) == [("received", 1), ("missing", 3 - first), ("received", 1)]


@pytest.mark.django_db
def test_one_missing_packet_of_very_many_is_seen() -> None:
    call = ended_call(packets=1)
    send(call.call_id, *(n for n in range(1000) if n != 500))
    assert kinds(strip(call)) == [("received", 120), ("gaps", 1), ("received", COLUMNS - 121)]


@pytest.mark.django_db
def test_the_widest_strip_there_is() -> None:
    call_id = fresh_id()
    send(call_id, 0, 2**31 - 1)
    found = strip(Call.objects.get(call_id=call_id))
    assert kinds(found) == [("gaps", 1), ("missing", COLUMNS - 2), ("gaps", 1)]


@pytest.mark.django_db
def test_before_the_first_packet_there_is_no_strip() -> None:
    assert Strip.of(Call(call_id="a")) is None


def places(stretches: tuple[Stretch, ...]) -> list[tuple[int, int]]:
    return [(one.begin, one.width) for one in stretches]


@pytest.mark.django_db
def test_a_strip_shows_where_doubles_and_late_packets_fell() -> None:
    call = ended_call(packets=8)
    send(call.call_id, 2, 3, 3, 6)
    send(call.call_id, 8, 9)
    found = strip(call)
    assert kinds(found) == [("received", 10)]
    assert places(found.double) == [(2, 2), (6, 1)]
    assert places(found.late) == [(8, 2)]


@pytest.mark.django_db
@pytest.mark.parametrize("at_once", [archiving.DROPPED_AT_ONCE, 3])
def test_an_archived_call_shows_what_it_showed(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "DROPPED_AT_ONCE", at_once)
    call = transcribed_call()
    send(call.call_id, 5, 6, 6, 900)
    shown, missing = strip(call), call.missing_ranges()
    assert missing == [(3, 4), (7, 899)]
    archive(call.call_id, now=NOW, actor="test")
    assert strip(call) == shown
    assert (call.missing_ranges(), call.missing_ranges(limit=1)) == (missing, missing[:1])
    assert not Duplicate.objects.exists()


@pytest.mark.django_db
def test_of_a_call_without_fault_nothing_need_be_kept() -> None:
    call = archive(transcribed_call().call_id, now=NOW, actor="test")
    assert not Recording.objects.filter(picture__isnull=False).exists()
    assert kinds(strip(call)) == [("received", 3)]


@pytest.mark.django_db
def test_what_was_not_kept_is_not_made_up() -> None:
    call = transcribed_call()
    send(call.call_id, 5)
    archive(call.call_id, now=NOW, actor="test")
    Recording.objects.update(picture=None)
    call.refresh_from_db()
    assert Strip.of(call) is None
    page = signed_in("view_call").get(f"/calls/{call.call_id}/").content.decode()
    assert "was not kept" in page
