"""A page as it is at one moment, in pieces, and what to tell a browser that holds another one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """Markup by the id of its element: single parts, and the rows of a list in their order."""

    parts: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)


BLANK = Painting()


def difference(before: Painting, after: Painting) -> dict[str, Any]:
    """What turns one into the other; empty where they are equal.

    `parts` and `rows` hold what is new or changed, `order` the ids of all rows where rows came,
    went or moved.
    """
    changes: dict[str, Any] = {
        "parts": _changed(before.parts, after.parts),
        "rows": _changed(before.rows, after.rows),
    }
    if [*before.rows] != [*after.rows]:
        changes["order"] = [*after.rows]
    return {name: change for name, change in changes.items() if change or name == "order"}


@lru_cache(maxsize=32)
def written(before: Painting, after: Painting) -> str:
    """The difference as the members of a JSON object, once for all who go the same step."""
    return json.dumps(difference(before, after))[1:-1]


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {name: markup for name, markup in after.items() if before.get(name) != markup}
