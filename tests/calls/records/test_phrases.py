"""Phrases are compared word by word; nothing in them is a pattern."""

import time

import pytest

from calls.models import Phrase
from calls.records import phrases
from calls.records.phrases import PhraseRefused, find, normalise
from tests.factories import NOW


def phrase(text: str) -> Phrase:
    return Phrase(text=text, words=normalise(text))


def said(text: str, *utterances: str) -> bool:
    return bool(find([phrase(text)], utterances))


@pytest.mark.parametrize(
    ("text", "utterance"),
    [
        ("refund", "I want a REFUND, now"),
        ("Cancel my contract", "please cancel, my contract"),
        ("don't", "I don’t like it"),  # noqa: RUF001
        ("straße", "In der STRASSE"),
        ("9 to 5", "open 9 to 5."),
        ("ﬁne", "a fine"),
    ],
)
def test_case_signs_and_spelling_do_not_matter(text: str, utterance: str) -> None:
    assert said(text, "hello", utterance)


@pytest.mark.parametrize(
    ("text", "utterance"),
    [
        ("sue", "what an issue"),
        ("fun", "a refund"),
        ("my contract", "my new contract"),
        (".*", "anything"),
        ("(a+)+$", "a" * 50),
        ("%", "100 percent"),
    ],
)
def test_only_whole_words_count_and_signs_mean_nothing(text: str, utterance: str) -> None:
    assert not said(text, utterance)


def test_a_phrase_is_not_found_across_two_utterances() -> None:
    assert not said("my contract", "cancel my", "contract")


def test_the_first_place_and_the_number_of_times_are_told() -> None:
    [hit] = find([phrase("no")], ["yes", "no", "oh no", "nothing"])
    assert (hit.first, hit.times) == (1, 2)


def test_many_hostile_phrases_on_a_long_call_take_no_time() -> None:
    hostile = [phrase("a " * n + "b") for n in range(1, 500)]
    began = time.monotonic()
    assert not find(hostile, ["a " * 100] * 500)
    assert time.monotonic() - began < 2.0


@pytest.mark.django_db
def test_a_phrase_is_added_once_whatever_its_case() -> None:
    kept = phrases.add("  Cancel   my contract ", now=NOW, actor="user anna")
    assert (kept.text, kept.words, kept.added_by) == (
        "Cancel my contract",
        "cancel my contract",
        "user anna",
    )
    with pytest.raises(PhraseRefused, match="on the list already"):
        phrases.add("CANCEL my contract!", now=NOW, actor="user bert")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "why"), [("?!", "at least one word"), ("", "at least"), ("a" * 101, "100 characters")]
)
def test_what_cannot_be_listened_for_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(PhraseRefused, match=why):
        phrases.add(text, now=NOW, actor="test")


@pytest.mark.django_db
def test_the_list_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrases, "MAX_PHRASES", 1)
    phrases.add("refund", now=NOW, actor="test")
    with pytest.raises(PhraseRefused, match="delete one first"):
        phrases.add("lawyer", now=NOW, actor="test")
