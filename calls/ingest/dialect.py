"""What PBXs say through their sockets, whatever their words for it.

A dialect is one module with a `DIALECT`: it reads frames, and knows nothing of keys, calls that
exist, or the database. Its line in `DOORS` (`calls/api/pbx/doors.py`) gives it an address and says
how it is let in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from calls.ingest.media import Media


class NotUnderstood(Exception):
    """A frame that makes no sense in its dialect; says why, without what stood in it."""


@dataclass(frozen=True, slots=True)
class Start:
    """The call begins: what the PBX calls the channel and the call, and what it says of it.

    `media` is None where the format is none of ours: `format` is its name. `reply` goes back.
    """

    channel: str
    call_id: str
    media: Media | None
    format: str = ""
    said: Mapping[str, str] = field(default_factory=dict)
    tracks: tuple[str, ...] = ()
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Audio:
    """`at` in seconds since the start; `chunk` counts those of the track from 1."""

    data: bytes
    track: str = ""
    at: float | None = None
    chunk: int | None = None


@dataclass(frozen=True, slots=True)
class Digit:
    """A key that was pressed."""

    digit: str
    track: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """The call is over."""


Event = Start | Audio | Digit | Stop


@dataclass(frozen=True, slots=True)
class Dialect:
    """`read` gives what a text frame says, None for what is no news, or raises `NotUnderstood`;
    with `raw_audio`, binary frames are audio.
    """

    name: str
    read: Callable[[str], Event | None]
    raw_audio: bool = False
    subprotocols: tuple[str, ...] = ()
