"""Calls by words: of their transcripts (PostgreSQL's full text) or by any part of their ids."""

import re
from collections.abc import Collection
from typing import Final

from django.contrib.postgres.search import SearchHeadline, SearchQuery
from django.db.models.functions import Left
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from calls.models import Call, Result
from calls.models.call import CallQuerySet
from calls.models.text import SPEECH, Trigrams

IN_AN_ID: Final = re.compile(r"[A-Za-z0-9+._:@-]+")
TRIGRAM: Final = 3
SNIPPED: Final = 50_000  # characters of a transcript that snippets are taken from
# Around a hit until the words have been escaped; nobody speaks them.
OPEN, CLOSE = "\x02", "\x03"
# PostgreSQL nests these as often as they come, and has a stack of 32.
IDLE_MINUS: Final = re.compile(r"-(?!\w|\"\w)")
HIT: Final = re.compile(f"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")


def first(calls: CallQuerySet, words: str, *, limit: int) -> list[Call]:
    """The first of an ordered list of calls that match."""
    found = {pk for part in parts(calls, words) for pk in part.values_list("pk", flat=True)[:limit]}
    return list(calls.filter(pk__in=found)[:limit])


def parts(calls: CallQuerySet, words: str) -> tuple[CallQuerySet, CallQuerySet]:
    """Those whose id matches and those whose transcript does.

    Apart, for each has an index of its own, which no condition over both could use.
    """
    return _by_id(calls, words), calls.filter(result__words=_query(words))


def snippets(calls: Collection[int], words: str) -> dict[int, SafeString]:
    """Where the transcripts of these calls match, as markup with each hit in a `<mark>`."""
    query = _query(words)
    headline = SearchHeadline(
        Left("transcript", SNIPPED),
        query,
        config=SPEECH,
        start_sel=OPEN,
        stop_sel=CLOSE,
        min_words=8,
        max_words=24,
        max_fragments=2,
        fragment_delimiter=" … ",
    )
    found = Result.objects.filter(pk__in=calls, words=query).values_list("pk", headline)
    return {pk: _marked(text) for pk, text in found if HIT.search(text)}


def marked_id(call_id: str, words: str) -> SafeString:
    """The id as markup, with the part that matches in a `<mark>`."""
    begin = call_id.lower().find(words.lower()) if words else -1
    if begin < 0:
        return escape(call_id)
    end = begin + len(words)
    return format_html("{}<mark>{}</mark>{}", call_id[:begin], call_id[begin:end], call_id[end:])


def _query(words: str) -> SearchQuery:
    """As people write to search engines: quotes, `or`, a minus; whatever they write, it is one."""
    return SearchQuery(IDLE_MINUS.sub(" ", words), config=SPEECH, search_type="websearch")


def _by_id(calls: CallQuerySet, words: str) -> CallQuerySet:
    if not IN_AN_ID.fullmatch(words):
        return calls.none()
    text = words.lower()
    trigrams = {text[n : n + TRIGRAM] for n in range(len(text) - TRIGRAM + 1)}
    if trigrams:
        calls = calls.alias(trigrams=Trigrams("call_id")).filter(
            trigrams__contains=sorted(trigrams)  # type: ignore[misc]
        )
    return calls.filter(call_id__icontains=words)


def _marked(text: str) -> SafeString:
    pieces = [re.sub(f"[{OPEN}{CLOSE}]", "", piece) for piece in HIT.split(text)]
    plain, hits = pieces[::2], [*pieces[1::2], ""]
    pairs = ((before, _mark(hit)) for before, hit in zip(plain, hits, strict=True))
    return format_html_join("", "{}{}", pairs)


def _mark(hit: str) -> SafeString:
    return format_html("<mark>{}</mark>", hit) if hit else SafeString("")
