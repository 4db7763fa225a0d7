"""Calls by words of their transcripts and by parts of their ids."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from calls import search
from calls.models import Call, Result
from calls.models.text import SEARCHED
from calls.states import Sentiment
from tests.dashboard.outcomes import transcribed_call
from tests.factories import NOW, api_key, call_in_progress, ended_call, send

pytestmark = pytest.mark.django_db

HOSTILE = [
    "'",
    '"',
    "\\",
    "%",
    "_",
    "(((",
    "!!!",
    "a & | b",
    ":*",
    "<->",
    "-",
    "- - -",
    "or or or",
    '"unended',
    "\x02\x03",
    "İ" * 50,
    "\U0001f600",
    "'; DROP TABLE calls_call; --",
    "$$",
    "{}",
    "%s %(a)s",
    "x" * 200,
    "-" * 200,
    "- " * 100,
    "-!" * 100,
    '-"' * 100,
    '-" -"' * 40,
    "(" * 200,
    "-_" * 100,
    "not " * 50,
]


def found(words: str) -> list[str]:
    calls = search.first(Call.objects.newest_first(), words, limit=10)
    return [call.call_id for call in calls]


@pytest.mark.parametrize(
    "words", ["refund", "REFUNDS", "refunded", '"want a refund"', "you", "nonsense or refund"]
)
def test_words_of_a_transcript_are_found(words: str) -> None:
    transcribed_call("what a lovely day")
    call = transcribed_call("I want a refund", "do you hear")
    assert found(words) == [call.call_id]


@pytest.mark.parametrize("words", ["refund -want", '"a want refund"', "refund parcel", "fund"])
def test_what_was_not_said_is_not_found(words: str) -> None:
    transcribed_call("I want a refund")
    assert found(words) == []


@pytest.mark.parametrize("words", ["north-17@b", "north", "NORTH-17", "7@B", "rt", "7", "17@"])
def test_any_part_of_an_id_is_found(words: str) -> None:
    send("north-17@b", 0)
    send("south-98", 0)
    assert found(words) == ["north-17@b"]


def test_an_underscore_and_a_percent_stand_for_themselves() -> None:
    send("a_b", 0)
    send("axb", 0)
    assert found("a_b") == ["a_b"]
    assert found("%") == []


def test_ids_and_transcripts_come_in_one_order() -> None:
    send("refund-1", 0)
    said = transcribed_call("I want a refund")
    send("refund-2", 0)
    assert found("refund") == ["refund-2", said.call_id, "refund-1"]


@pytest.mark.parametrize("words", HOSTILE)
def test_whatever_is_asked_gets_an_answer(words: str) -> None:
    call = transcribed_call("I want a refund")
    assert found(words) in ([], [call.call_id])
    search.snippets([call.pk], words)
    search.marked_id(call.call_id, words)


def test_a_new_result_is_found_by_its_own_words_alone() -> None:
    call = transcribed_call("I want a refund")
    Result.objects.filter(pk=call.pk).update(transcript="I want a parcel")
    assert found("refund") == []
    assert found("parcel") == [call.call_id]


@pytest.mark.parametrize("word", ["x", "é-ü", "\U00020000\U00020001", "a.bc/d"])
def test_a_transcript_of_any_length_can_be_stored(word: str) -> None:
    call = ended_call()
    different = " ".join(f"{word}{n}" for n in range(SEARCHED // 4))
    Result.objects.create(
        call=call,
        run=1,
        transcript=different,
        sentiment=Sentiment.NEUTRAL,
        score=0,
        created_at=NOW,
    )
    assert search.snippets([call.pk], f"{word}1").keys() <= {call.pk}


def test_a_hit_is_marked_and_the_rest_escaped() -> None:
    call = transcribed_call("salt & pepper \x02x\x03, and then 2 < 3 \x02 again")
    [snippet] = search.snippets([call.pk], "then").values()
    assert "salt &amp; pepper" in snippet
    assert "<mark>then</mark> 2 &lt; 3" in snippet
    assert "\x02" not in snippet


def test_both_searches_have_their_index() -> None:
    Call.objects.bulk_create(
        Call(call_id=f"plan-{n}", created_at=NOW, updated_at=NOW) for n in range(2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE calls_call; SET LOCAL enable_seqscan = off")
        by_id, by_words = search.parts(Call.objects.all(), "n-1999")
        assert "call_id_trigrams" in by_id.explain()
        # Of the few results here any other index would do, too.
        cursor.execute("SET LOCAL enable_indexscan = off")
        assert "result_words" in by_words.explain()


class TestTheApi:
    @pytest.fixture(autouse=True)
    def key(self) -> None:
        self.headers = {"authorization": f"Bearer {api_key('read')}"}

    def ids(self, **query: str | int) -> list[str]:
        answer = Client().get("/v1/calls", query, headers=self.headers)
        assert answer.status_code == 200, answer.content
        self.cursor = answer.json()["next_cursor"]
        return [call["call_id"] for call in answer.json()["calls"]]

    def test_q_finds_words_and_ids(self) -> None:
        call = transcribed_call("I want a refund")
        send("refund-1", 0)
        call_in_progress()
        assert self.ids(q="refund") == ["refund-1", call.call_id]
        assert self.ids(q="refund", state="COMPLETED") == [call.call_id]

    @pytest.mark.parametrize("words", HOSTILE)
    def test_no_q_is_an_error(self, words: str) -> None:
        assert self.ids(q=words) == []

    def test_pages_of_a_search_follow_each_other(self) -> None:
        made = [transcribed_call("refund").call_id for _ in range(5)]
        seen = self.ids(q="refund", limit=2)
        while self.cursor:
            seen += self.ids(q="refund", limit=2, cursor=self.cursor)
        assert seen == made[::-1]

    def test_calls_are_found_by_time_and_duration(self) -> None:
        old = ended_call(now=NOW - timedelta(days=1))
        new = ended_call(now=NOW)
        assert self.ids(started_after=NOW.isoformat()) == [new.call_id]
        assert self.ids(started_before=NOW.isoformat()) == [old.call_id]
        assert self.ids(min_duration="0.9") == [new.call_id, old.call_id]
        assert self.ids(min_duration="1.1") == []

    def test_a_call_in_progress_lasts_until_now(self) -> None:
        call = call_in_progress()  # of long ago
        assert self.ids(min_duration=60) == [call.call_id]
