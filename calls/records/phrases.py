"""The phrases that staff listen for. Compared word by word: nothing in them is a pattern."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from calls.models import Phrase

MAX_PHRASES = 500
MAX_LENGTH = 100  # characters
KNOWN = "“{}” is on the list already."
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


class PhraseRefused(Exception):
    """A phrase that cannot be listened for; says why, to the person who asked."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase that was said: the number of the utterance where first, and how many times."""

    phrase: Phrase
    first: int
    times: int


def add(text: str, *, now: datetime, actor: str) -> Phrase:
    """Listens for a phrase from now on. Raises `PhraseRefused`."""
    check(text)
    with transaction.atomic():
        phrase, new = Phrase.objects.get_or_create(
            words=normalise(text),
            defaults={"text": " ".join(text.split()), "added_at": now, "added_by": actor[:200]},
        )
    if not new:
        raise PhraseRefused(KNOWN.format(phrase))
    return phrase


def check(text: str) -> None:
    """Raises `PhraseRefused` where `add` would."""
    words = normalise(text)
    if not words:
        raise PhraseRefused("A phrase needs at least one word: a letter or a digit.")
    if len(" ".join(text.split())) > MAX_LENGTH or len(words) > 2 * MAX_LENGTH:
        raise PhraseRefused(f"A phrase has at most {MAX_LENGTH} characters.")
    if known := Phrase.objects.filter(words=words).first():
        raise PhraseRefused(KNOWN.format(known))
    if Phrase.objects.count() >= MAX_PHRASES:
        raise PhraseRefused(f"There are {MAX_PHRASES} phrases already: delete one first.")


def normalise(text: str) -> str:
    """The words alone, in one case and one spelling of each character."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")  # noqa: RUF001
    return " ".join(WORD.findall(folded))


def find(phrases: Iterable[Phrase], utterances: Sequence[str]) -> list[Hit]:
    """Those that are said, each within one utterance."""
    # A phrase holds no line break, so none is found across two utterances.
    said = [f" {normalise(text)} " for text in utterances]
    whole = "\n".join(said)
    hits = []
    for phrase in phrases:
        words = f" {phrase.words} "
        if words in whole:
            first = next(number for number, text in enumerate(said) if words in text)
            hits.append(Hit(phrase, first, whole.count(words)))
    return hits
