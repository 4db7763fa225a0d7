"""The figures and the geometry of a call's charts."""

import pytest

from calls.models import Call, Utterance
from dashboard.conversation import Conversation, conversation
from dashboard.packet_strip import COLUMNS, Strip
from tests.factories import ended_call, fresh_id, send


def said(track: str, start: float, end: float, score: float = 0.0) -> Utterance:
    return Utterance(track=track, start=start, end=end, text="words", score=score)


def shares(found: Conversation | None) -> dict[str, tuple[float, float]]:
    assert found
    return {one.kind: (one.seconds, one.percent) for one in found.shares}


def test_the_time_is_parted_among_those_who_talk() -> None:
    found = conversation([said("inbound", 0, 4), said("outbound", 6, 8), said("inbound", 8, 10)])
    assert shares(found) == {"inbound": (6, 60), "outbound": (2, 20), "silence": (2, 20)}


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
