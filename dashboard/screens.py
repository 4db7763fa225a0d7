"""The pages that change live. First paint and socket ask the same screen for the same pieces."""

import re
from collections.abc import Hashable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser, PermissionsMixin
from django.http import QueryDict
from django.template.loader import render_to_string

from calls.models import Call
from calls.states import CALL_ID_PATTERN
from calls.timeline import Timeline, timeline
from dashboard import attention, board, call_page
from dashboard.attention import AlertFilters
from dashboard.filters import Filters
from dashboard.painting import Painting
from dashboard.rights import Rights
from dashboard.shared import Shared

CALL_ID = re.compile(CALL_ID_PATTERN, re.ASCII)
TILES_AGE = 1.0  # seconds
CHARTS_AGE = 4.0  # seconds

tiles = Shared(size=32)
timelines = Shared(size=1)


def last_hour(*, now: datetime, since: float) -> Timeline:
    """What the charts show, made once for all who look."""
    return timelines.get("", lambda: timeline(now=now), since=since - CHARTS_AGE)


class Screen(Hashable, Protocol):
    def concerned_by(self, call_ids: Set[str]) -> bool:
        """Whether a change of these calls may change the page."""

    def paint(self, *, now: datetime, since: float) -> Painting:
        """The page as it is now; of what is shared, as it was at `since` or shortly before.

        Raises `Call.DoesNotExist` where there is nothing to show any more.
        """


@dataclass(frozen=True, slots=True)
class BoardScreen:
    filters: Filters
    zone: ZoneInfo
    may_acknowledge: bool = False

    def concerned_by(self, call_ids: Set[str]) -> bool:
        return True

    def paint(self, *, now: datetime, since: float) -> Painting:
        figures = tiles.get(
            self.zone, lambda: board.tiles(self.zone, now=now), since=since - TILES_AGE
        )
        page = board.page(self.filters, now=now)
        return Painting(
            parts={
                "alerts": attention.strip(self.may_acknowledge, since=since),
                "tiles": render_to_string("dashboard/_tiles.html", {"tiles": figures}),
                "pager": render_to_string("dashboard/_pager.html", {"page": page}),
            },
            rows=board.elements(page.rows),
        )


@dataclass(frozen=True, slots=True)
class AlertScreen:
    filters: AlertFilters
    may_acknowledge: bool

    def concerned_by(self, call_ids: Set[str]) -> bool:
        return True

    def paint(self, *, now: datetime, since: float) -> Painting:
        page = attention.page(self.filters)
        return Painting(
            parts=page.parts(self.may_acknowledge), rows=page.elements(self.may_acknowledge)
        )


@dataclass(frozen=True, slots=True)
class CallScreen:
    call_id: str
    rights: Rights

    def concerned_by(self, call_ids: Set[str]) -> bool:
        return self.call_id in call_ids

    def paint(self, *, now: datetime, since: float) -> Painting:
        return Painting(parts=call_page.sections(self.call_id, self.rights, since=since))


def wanted(query: QueryDict, user: PermissionsMixin | AnonymousUser, zone: ZoneInfo) -> Screen:
    """The page that a socket's address asks for: `?call=…`, `?alerts=…` or `?…` of the board; the
    two others with their filters. Raises `Call.DoesNotExist` where no call can have that id.
    """
    rights = Rights.of(user)
    call_id = query.get("call")
    if call_id is not None:
        if not CALL_ID.fullmatch(call_id):
            raise Call.DoesNotExist
        return CallScreen(call_id, rights)
    if "alerts" in query:
        return AlertScreen(AlertFilters.read(query), rights.acknowledge)
    return BoardScreen(Filters.read(query, zone), zone, rights.acknowledge)
