"""The read model of the audit: what people and programs saw and did, among the moves of the calls.

Two tables, each read newest first along an index, are merged; a cursor names the last row shown.
"""

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import chain, islice
from typing import Any, Self, TypeVar

from django import forms
from django.db.models import Model, Q, QuerySet
from django.http import QueryDict
from django.utils.http import urlencode

from calls.models import Audit, Move
from calls.models.audit import Verb

PAGE = 50  # rows
KNOWN_AMONG = 500  # newest rows of each table, whose actors are offered
MOVED = "moved"
MOVES, AUDIT = 0, 1  # the tables' places among rows of the same instant
CURSOR = re.compile(r"(\d{1,17})-([01])-(\d{1,18})", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Kept = TypeVar("Kept", bound=Model)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row stands in the order of all."""

    at: datetime
    table: int
    pk: int

    @classmethod
    def read(cls, text: str) -> Self | None:
        if not (match := CURSOR.fullmatch(text)):
            return None
        try:
            at = EPOCH + int(match[1]) * MICROSECOND
        except OverflowError:
            return None
        return cls(at, int(match[2]), int(match[3]))

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // MICROSECOND}-{self.table}-{self.pk}"

    def behind(self, table: int) -> Q:
        """The rows of a table that come after this one, newest first."""
        if table > self.table:
            return Q(at__lt=self.at)
        until = Q(at__lte=self.at)
        return until & ~Q(at=self.at, pk__gte=self.pk) if table == self.table else until


@dataclass(frozen=True, slots=True)
class Row:
    place: Place
    actor: str
    verb: str
    call_id: str
    detail: str


class AuditFilterForm(forms.Form):
    person = forms.CharField(label="Person or key", max_length=200, required=False)
    call = forms.CharField(label="Call", max_length=128, required=False)
    verb = forms.ChoiceField(
        choices=[("", "Any"), (MOVED, "Moved"), *Verb.choices], label="What", required=False
    )

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["person"].widget.attrs["list"] = "known-people"


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """Empty fields ask for nothing; what cannot be read counts as empty."""

    person: str = ""
    call: str = ""
    verb: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        form = AuditFilterForm(query)
        form.is_valid()
        return cls(**{name: form.cleaned_data.get(name, "") for name in ("person", "call", "verb")})

    @property
    def active(self) -> bool:
        return self != AuditFilters()

    @property
    def newest(self) -> str:
        return self._address()

    def after(self, place: Place) -> str:
        """The address of what comes after a row of the same list."""
        return self._address(cursor=str(place))

    def _address(self, **further: str) -> str:
        said = {name: value for name, value in asdict(self).items() if value}
        return f"?{urlencode(said | further)}"

    @property
    def actors(self) -> list[str]:
        """A name may be written without what says whether a person or a key bears it."""
        return [self.person, f"user {self.person}", f"key {self.person}"]


@dataclass(frozen=True, slots=True)
class AuditPage:
    filters: AuditFilters
    rows: list[Row]
    more: bool
    first: bool

    @property
    def older(self) -> str:
        return self.filters.after(self.rows[-1].place) if self.more else ""


def page(filters: AuditFilters, cursor: str = "") -> AuditPage:
    last = Place.read(cursor)
    rows = merge(
        _moves(filters, last), _audit(filters, last), key=lambda row: row.place, reverse=True
    )
    found = list(islice(rows, PAGE + 1))
    return AuditPage(filters, found[:PAGE], more=len(found) > PAGE, first=last is None)


def known_people() -> list[str]:
    """The actors of the newest rows."""
    newest = [table.objects.order_by("-at", "-pk") for table in (Move, Audit)]
    names = (rows.values_list("actor", flat=True)[:KNOWN_AMONG] for rows in newest)
    return sorted(set(chain.from_iterable(names)))


def _moves(filters: AuditFilters, last: Place | None) -> list[Row]:
    if filters.verb not in ("", MOVED):
        return []
    moves = Move.objects.select_related("call")
    if filters.call:
        moves = moves.filter(call__call_id=filters.call)
    return [
        Row(
            Place(move.at, MOVES, move.pk),
            move.actor,
            "Moved",
            move.call.call_id,
            f"{move.get_from_state_display()} → {move.get_to_state_display()}: {move.reason}",
        )
        for move in _next(moves, filters, last, MOVES)
    ]


def _audit(filters: AuditFilters, last: Place | None) -> list[Row]:
    if filters.verb == MOVED:
        return []
    rows = Audit.objects.all()
    if filters.call:
        rows = rows.filter(call_id=filters.call)
    if filters.verb:
        rows = rows.filter(verb=filters.verb)
    return [
        Row(
            Place(row.at, AUDIT, row.pk),
            row.actor,
            row.get_verb_display(),
            row.call_id,
            row.detail,
        )
        for row in _next(rows, filters, last, AUDIT)
    ]


def _next(
    rows: QuerySet[Kept], filters: AuditFilters, last: Place | None, table: int
) -> QuerySet[Kept]:
    wanted: Any = Q(actor__in=filters.actors) if filters.person else Q()
    if last:
        wanted &= last.behind(table)
    return rows.filter(wanted).order_by("-at", "-pk")[: PAGE + 1]
