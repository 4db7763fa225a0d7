"""Which packets of a call came, as a strip from its first sequence to its last."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from calls.models import Call
from calls.records.picture import Picture


@dataclass(frozen=True, slots=True)
class Stretch:
    """Columns that look the same."""

    kind: str
    begin: int
    width: int


@dataclass(frozen=True, slots=True)
class Strip:
    """`received`: all, some (gaps) or none (missing) of each column's packets; `late` and
    `double`: where any came after the end, or again.
    """

    first: int
    last: int
    width: int
    received: tuple[Stretch, ...]
    late: tuple[Stretch, ...]
    double: tuple[Stretch, ...]

    @classmethod
    def of(cls, call: Call) -> Self | None:
        """None where there is no picture of the packets."""
        seen = Picture.of(call)
        if seen is None:
            return None
        return cls(
            seen.first,
            seen.last,
            seen.width,
            tuple(_stretches(map(_kind, seen.came, seen.due))),
            tuple(_stretches("late" if n else "" for n in seen.late)),
            tuple(_stretches("double" if n else "" for n in seen.double)),
        )


def _kind(came: int, due: int) -> str:
    return "received" if came >= due else "gaps" if came else "missing"


def _stretches(kinds: Iterable[str]) -> Iterator[Stretch]:
    begin = 0
    for kind, columns in groupby(kinds):
        width = sum(1 for _ in columns)
        if kind:
            yield Stretch(kind, begin, width)
        begin += width
