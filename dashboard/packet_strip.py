"""Which packets of a call came, as a strip from its first sequence to its last."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from django.db.models import BigIntegerField, Count, F, Q
from django.db.models.functions import Cast

from calls.models import Call, Packet

COLUMNS = 240  # at most


@dataclass(frozen=True, slots=True)
class Stretch:
    """Columns that look the same."""

    kind: str
    begin: int
    width: int


@dataclass(frozen=True, slots=True)
class Strip:
    """`received`: all, some (gaps) or none (missing) of each column's packets; `late`: where any
    came after the end.
    """

    first: int
    last: int
    width: int
    received: tuple[Stretch, ...]
    late: tuple[Stretch, ...]

    @classmethod
    def of(cls, call: Call) -> Self | None:
        """None before the first packet."""
        if call.last_sequence is None:
            return None
        first = 0 if call.has_packet_zero else 1
        total = call.last_sequence - first + 1
        width = min(total, COLUMNS)
        columns = _columns(call, first, total, width)
        expected = {n: -(-(n + 1) * total // width) + (-n * total // width) for n in range(width)}
        return cls(
            first,
            call.last_sequence,
            width,
            tuple(_stretches(_kind(columns, n, expected[n]) for n in range(width))),
            tuple(_stretches("late" if columns.get(n, (0, 0))[1] else "" for n in range(width))),
        )


Columns = Mapping[int, tuple[int, int]]


def _columns(call: Call, first: int, total: int, width: int) -> Columns:
    """How many packets came, and how many of them late, by column."""
    if not call.missing and not call.late:
        return dict.fromkeys(range(width), (total, 0))
    place = (Cast(F("sequence"), BigIntegerField()) - first) * width / total
    rows = Packet.objects.filter(call=call).annotate(column=place).values("column")
    counted = rows.annotate(came=Count("sequence"), late=Count("sequence", filter=Q(late=True)))
    return {
        column: (came, late) for column, came, late in counted.values_list("column", "came", "late")
    }


def _kind(columns: Columns, column: int, expected: int) -> str:
    came, _ = columns.get(column, (0, 0))
    return "received" if came >= expected else "gaps" if came else "missing"


def _stretches(kinds: Iterable[str]) -> Iterator[Stretch]:
    begin = 0
    for kind, columns in groupby(kinds):
        width = sum(1 for _ in columns)
        if kind:
            yield Stretch(kind, begin, width)
        begin += width
