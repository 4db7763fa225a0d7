"""How many packets of a call came, were late and were double: in columns, from its first sequence
to its last. Counted from the packets; kept with the recording once they are put away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import BigIntegerField, Count, F, Q, QuerySet, Sum
from django.db.models.functions import Cast

from calls.models import Call, Duplicate, Packet
from calls.states import State

COLUMNS = 240  # at most

Counts = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """`due` packets stand in each column; of them so many came, came late, came again."""

    first: int
    last: int
    due: Counts
    came: Counts
    late: Counts
    double: Counts

    @property
    def width(self) -> int:
        return len(self.due)

    @classmethod
    def of(cls, call: Call) -> Self | None:
        """None before the first packet, and where none was kept of an archived call."""
        if call.last_sequence is None:
            return None
        first = 0 if call.has_packet_zero else 1
        due = _due(call.last_sequence - first + 1)
        counted = _kept(call, due) if call.state == State.ARCHIVED else _counted(call, first, due)
        return cls(first, call.last_sequence, due, *counted) if counted else None


def to_keep(call: Call) -> dict[str, Any] | None:
    """What is left of it when the packets are put away; None where every packet came once."""
    seen = Picture.of(call)
    if seen is None or not _has_oddities(call):
        return None
    columns = {"came": seen.came, "late": seen.late, "double": seen.double}
    return {**columns, "missing": call.missing_ranges()}


def _has_oddities(call: Call) -> bool:
    return bool(call.missing or call.late or call.duplicates)


def _due(total: int) -> Counts:
    width = min(total, COLUMNS)
    return tuple(-(-(n + 1) * total // width) + (-n * total // width) for n in range(width))


def _kept(call: Call, due: Counts) -> tuple[Counts, Counts, Counts] | None:
    none = (0,) * len(due)
    if not _has_oddities(call):
        return due, none, none
    pictures = call.recordings.filter(picture__isnull=False).values_list("picture", flat=True)
    kept = pictures.first()
    if kept is None:
        return None
    came, late, double = (tuple(kept[name]) for name in ("came", "late", "double"))
    return came, late, double


def _counted(call: Call, first: int, due: Counts) -> tuple[Counts, Counts, Counts]:
    came, late = due, (0,) * len(due)
    if call.missing or call.late:
        rows = _in_columns(Packet.objects.filter(call=call), first, due)
        counted = rows.annotate(n=Count("sequence"), late=Count("sequence", filter=Q(late=True)))
        found = list(counted.values_list("column", "n", "late"))
        came = _listed({column: n for column, n, _ in found}, due)
        late = _listed({column: n for column, _, n in found}, due)
    return came, late, _doubled(call, first, due) if call.duplicates else (0,) * len(due)


def _doubled(call: Call, first: int, due: Counts) -> Counts:
    rows = _in_columns(Duplicate.objects.filter(call=call), first, due)
    return _listed(dict(rows.annotate(n=Sum("times")).values_list("column", "n")), due)


def _in_columns(rows: QuerySet[Any], first: int, due: Counts) -> QuerySet[Any, Any]:
    place = (Cast(F("sequence"), BigIntegerField()) - first) * len(due) / sum(due)
    columns: QuerySet[Any, Any] = rows.annotate(column=place).values("column")
    return columns


def _listed(counts: Mapping[int, int], due: Counts) -> Counts:
    return tuple(counts.get(column, 0) for column in range(len(due)))
