"""The calls that a page of the admin shows, painted with the admin's own markup."""

import re
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.contrib.auth.models import User
from django.http import QueryDict

from calls.admin import live
from calls.admin.actions import permitted, tools
from calls.models import Call
from dashboard.painting import Painting

KEY = r"\d{1,18}"
KEYS = re.compile(f"{KEY}(?:,{KEY})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class AdminScreen:
    calls: frozenset[int]
    call_ids: frozenset[str]
    permitted: frozenset[str] | None = None
    """Of a page: the actions that whoever looks at it may take."""
    newest: int | None = None
    """Of a list: the newest call when it was opened."""

    @classmethod
    def wanted(cls, query: QueryDict, user: User) -> Self:
        """The page that a socket's address asks for; what cannot be read is an empty list."""
        given, most = query.get("calls", ""), 1 if "page" in query else live.MOST
        keys = given.split(",")[:most] if KEYS.fullmatch(given) else []
        found = dict(Call.objects.filter(pk__in=keys).values_list("pk", "call_id"))
        newest = query.get("newest", "")
        return cls(
            frozenset(found),
            frozenset(found.values()),
            permitted=permitted(user) if "page" in query else None,
            newest=int(newest) if re.fullmatch(KEY, newest, re.ASCII) else None,
        )

    def concerned_by(self, call_ids: Set[str]) -> bool:
        return not self.call_ids.isdisjoint(call_ids)

    def paint(self, *, now: datetime, since: float) -> Painting:
        """Raises `Call.DoesNotExist` where the call of a page is gone."""
        calls = Call.objects.filter(pk__in=self.calls).defer("metadata")
        if self.permitted is None:
            newer = {} if self.newest is None else live.newer(self.newest)
            return Painting(parts=live.rows(calls) | newer)
        call = calls.select_related("result").defer("result__transcript").get()
        return Painting(parts=live.page(call, tools(call, self.permitted)))
