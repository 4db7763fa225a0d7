"""What the sockets of PBXs noted in a call's metadata, for people to read."""

from datetime import datetime
from typing import Any

SHOWN = 5


def noted(name: str, value: Any) -> tuple[str, str] | None:
    """A title and words; None for what is no note of ours."""
    try:
        if name == "dtmf":
            return "Keys pressed", "".join(str(entry["digit"]) for entry in value)
        if name == "gaps":
            return "Audio lost (UTC)", _gaps(value)
    except (KeyError, TypeError, ValueError):
        # A PBX that posts its metadata may use the same names.
        return None
    return None


def _gaps(entries: Any) -> str:
    """The first of them: on a bad line there are hundreds, and the packets' strip shows where."""
    words = "; ".join(_gap(entry) for entry in entries[:SHOWN])
    more = len(entries) - SHOWN
    return f"{words}; and {more} more" if more > 0 else words


def _gap(entry: Any) -> str:
    begin, end = (datetime.fromisoformat(entry[name]) for name in ("from", "to"))
    seconds = (end - begin).total_seconds()
    return f"{entry['track']} {begin:%H:%M:%S}, {seconds:.2f} s, {entry['why']}"
