"""The calls that a page of the admin shows, painted with the admin's own markup."""

import re
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.http import QueryDict

from calls.admin import live
from calls.models import Call
from dashboard.painting import Painting

KEYS = re.compile(r"\d{1,18}(?:,\d{1,18})*")


@dataclass(frozen=True, slots=True)
class AdminScreen:
    calls: frozenset[int]
    call_ids: frozenset[str]
    whole_page: bool

    @classmethod
    def wanted(cls, query: QueryDict) -> Self:
        """The page that a socket's address asks for; what cannot be read is an empty list."""
        given = query.get("calls", "")
        keys = given.split(",")[: live.MOST] if KEYS.fullmatch(given) else []
        found = dict(Call.objects.filter(pk__in=keys).values_list("pk", "call_id"))
        return cls(frozenset(found), frozenset(found.values()), "page" in query)

    def concerned_by(self, call_ids: Set[str]) -> bool:
        return not self.call_ids.isdisjoint(call_ids)

    def paint(self, *, now: datetime, since: float) -> Painting:
        """Raises `Call.DoesNotExist` where the call of a page is gone."""
        calls = list(Call.objects.filter(pk__in=self.calls).defer("metadata"))
        if self.whole_page and not calls:
            raise Call.DoesNotExist
        return Painting(parts=live.parts(calls, whole_page=self.whole_page))
