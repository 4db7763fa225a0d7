"""What the sockets of PBXs noted in a call's metadata, for people to read."""

from typing import Any


def noted(name: str, value: Any) -> tuple[str, str] | None:
    """A title and words; None for what is no note of ours."""
    try:
        if name == "dtmf":
            return "Keys pressed", "".join(str(entry["digit"]) for entry in value)
        if name == "gaps":
            return "Audio lost (UTC)", "; ".join(_gap(entry) for entry in value)
    except (KeyError, TypeError):
        # A PBX that posts its metadata may use the same names.
        return None
    return None


def _gap(entry: Any) -> str:
    begin, end = (str(entry[name])[11:19] for name in ("from", "to"))
    return f"{entry['track']} {begin} to {end}, {entry['why']}"
