"""Lengths of time as people write them."""

import re
from datetime import timedelta

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(raw: str) -> timedelta | None:
    """`30d`, `12h`, `15m`, `45s` or `0`; nothing is None. Raises ValueError."""
    if not raw:
        return None
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", raw)
    if not match or not (match[2] or match[1] == "0"):
        raise ValueError("expected a duration such as 30d, 12h or 0")
    return timedelta(seconds=int(match[1]) * SECONDS.get(match[2], 1))
