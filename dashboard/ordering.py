"""In what order the list stands, and how it goes on after a call or before one."""

import re
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q

from calls.models import Call
from calls.models.call import CallQuerySet

CURSOR: Final = re.compile(r"(?:(-?[0-9.]{1,24}(?:e[-+]?[0-9]{1,3})?)~)?([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Order:
    """By `field`, and by the key where calls are equal; `-` turns either round."""

    label: str
    field: str
    then: str = ""

    def start(self, calls: CallQuerySet, cursor: str = "", *, back: bool = False) -> CallQuerySet:
        """The list from its top, or after the call of a cursor; `back` goes up from there."""
        calls = calls.with_length() if "lasted" in self.field else calls
        keys = [key for key in (self.field, self.then) if key]
        ways = [_turned(key) if back else key for key in keys]
        past = self._past(ways, cursor)
        return (calls.filter(past) if past else calls).order_by(*ways)

    def cursor(self, call: Call) -> str:
        """Where the call stands in the list."""
        if not self.then:
            return str(call.pk)
        value = call
        for name in self.field.lstrip("-").split("__"):
            value = getattr(value, name)
        return f"{value!r}~{call.pk}"

    def _past(self, ways: list[str], cursor: str) -> Q | None:
        values = self._read(cursor)
        if not values:
            return None
        if len(ways) == 1:
            return _beyond(ways[0], values[0])
        field = ways[0].lstrip("-")
        tie = Q(**{field: values[0]}) & _beyond(ways[1], values[1])
        # The first condition follows from the second; an index is entered by it.
        return _beyond(ways[0], values[0], "e") & (_beyond(ways[0], values[0]) | tie)

    def _read(self, cursor: str) -> list[Any]:
        """The values of a cursor of this order; none of another's or of nonsense."""
        found = CURSOR.fullmatch(cursor)
        if not found or bool(found[1]) != bool(self.then):
            return []
        try:
            return [float(found[1]), int(found[2])] if self.then else [int(found[2])]
        except ValueError:
            return []


def _turned(key: str) -> str:
    return key[1:] if key.startswith("-") else f"-{key}"


def _beyond(way: str, value: object, or_equal: str = "") -> Q:
    operator = "lt" if way.startswith("-") else "gt"
    return Q(**{f"{way.lstrip('-')}__{operator}{or_equal}": value})


ORDERS: Final = {
    "": Order("Newest first", "-pk"),
    "oldest": Order("Oldest first", "pk"),
    "longest": Order("Longest first", "-lasted", "-pk"),
    "negative": Order("Most negative first", "result__score", "-pk"),
}
