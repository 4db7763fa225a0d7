"""The viewer's time zone, as the browser says it in a cookie; only for what "today" means."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

COOKIE = "zone"
UTC = ZoneInfo("UTC")


def zone_of(cookies: Mapping[str, str]) -> ZoneInfo:
    name = cookies.get(COOKIE, "").replace("%2F", "/")
    return ZoneInfo(name) if name in _known() else UTC


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def midnight(zone: ZoneInfo, *, now: datetime) -> datetime:
    """When today began there."""
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
