"""One socket of a PBX, from its first frame to its last, whatever its dialect."""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from calls.ingest.dialect import Audio, Dialect, Digit, NotUnderstood, Start, Stop
from calls.ingest.line import Line, Room
from calls.ingest.media import Media
from calls.ingest.streams import MAX_NOTES, Note, Opening
from calls.states import Track

log = logging.getLogger(__name__)

EARLY = 30 * 32_000  # bytes that are kept before it is known what call they belong to
FRAMES_AT_ONCE = 30_000  # ten minutes: after a stall all that was held up comes in one burst
FRAMES_PER_SECOND = 500
FRAME = 0.02  # seconds; a longer one counts as so many
NORMAL, TOO_FAST = 1000, 4429
OVERTAKEN = 1.0  # seconds in which the PBX may close, or send audio that the stop has overtaken
DIGIT = re.compile(r"[0-9A-D*#]")


@dataclass(frozen=True, slots=True)
class Call:
    """What the socket is about, once somebody has checked it; `key` let it in."""

    call_id: str
    channel: str
    media: Media
    said: Mapping[str, Any] = field(default_factory=dict)
    tracks: Sequence[str] = (Track.INBOUND.value,)
    key: int | None = None


class Session:
    """Takes frames at once, whether its call is known or the database there.

    `on_start` hears what the PBX says of the call, and answers by `begin` or `refuse`;
    `on_close` has to close the socket.
    """

    def __init__(
        self,
        dialect: Dialect,
        origin: str,
        room: Room,
        tell: Callable[[Note], None],
        *,
        on_start: Callable[[Start], None],
        on_close: Callable[[int, str], None],
    ) -> None:
        self.dialect, self._origin = dialect, origin
        self.call: Call | None = None
        self.lines: dict[str, Line] = {}
        self.is_over = self.is_lost = False
        self.settled = asyncio.Event()
        self.early_room = EARLY
        self._room, self._carry_note = room, tell
        self._noted: Counter[str] = Counter()
        self._on_start, self._on_close = on_start, on_close
        self._started_at: float | None = None
        self._stopped_at: float | None = None
        self._refused = self._warned = False
        self._early: list[tuple[Audio | Digit, float]] = []
        self._early_size = 0
        self._credit = float(FRAMES_AT_ONCE)
        self._counted_at = time.time()

    def frame(self, data: bytes | str) -> None:
        """Whatever came through the socket; never raises."""
        now = time.time()
        self._credit -= 1
        try:
            if isinstance(data, str):
                self._text(data, now)
            elif self.dialect.raw_audio:
                self._audio(Audio(data), now)
            else:
                raise NotUnderstood("a binary frame, which this dialect does not have")
        except NotUnderstood as error:
            self._warn(str(error))
        except Exception:
            log.exception("%s: a frame was lost", self)

    def begin(self, call: Call) -> None:
        """It is known what the frames belong to, those included that came before."""
        self.call = call
        for track in call.tracks:
            self._line(track)
        for event, now in self._forget_early():
            self._take(event, now)

    def over(self, *, in_order: bool) -> None:
        """The socket is gone, or the call; all that came through it becomes packets."""
        self.is_over = True
        self.is_lost = not (in_order or self._stopped_at)
        self._forget_early()
        if not self._refused:
            for line in self.lines.values():
                line.flush(now=time.time())

    def refuse(self, code: int, words: str) -> None:
        """The socket may not go on; what it brought is thrown away."""
        if not self._refused:
            self._refused = True
            log.warning("%s: refused with %d: %s", self, code, words)
            self._on_close(code, words)
        self._forget_early()
        for line in self.lines.values():
            line.forget()

    def look_after(self, *, now: float) -> None:
        """Called now and then: far more frames than calls have are no call."""
        for line in self.lines.values():
            line.flush_if_quiet(now=now)
        if self._stopped_at and now - self._stopped_at > OVERTAKEN and not self.is_over:
            self.over(in_order=True)
            self._on_close(NORMAL, "the call is over")
        earned = max(now - self._counted_at, 0) * FRAMES_PER_SECOND
        self._credit, self._counted_at = min(self._credit + earned, FRAMES_AT_ONCE), now
        if self._credit < 0:
            words = (
                f"more than {FRAMES_PER_SECOND} frames a second, or as much audio in longer ones"
            )
            self.refuse(TOO_FAST, words)

    @property
    def has_early_audio(self) -> bool:
        """Some that belongs to no call yet."""
        return bool(self._early) and not self._refused

    @property
    def is_started(self) -> bool:
        return self.call is not None or self._started_at is not None

    @property
    def is_refused(self) -> bool:
        return self._refused

    def __str__(self) -> str:
        name = self.call.call_id if self.call else "(no call yet)"
        return f"{self.dialect.name} {name} from {self._origin}"

    def _text(self, text: str, now: float) -> None:
        event = self.dialect.read(text)
        if isinstance(event, Start):
            self._start(event, now)
        elif isinstance(event, Stop):
            self._stopped_at = now
        elif event is not None:
            self._audio(event, now)

    def _start(self, start: Start, now: float) -> None:
        if self._started_at is None:
            self._started_at = now
            self._on_start(start)

    def _audio(self, event: Audio | Digit, now: float) -> None:
        if self._refused or self.is_over:
            return
        if self.call is not None:
            self._take(event, now)
        elif self._early_size < self.early_room and not self._room.is_full:
            size = 100 + len(event.data) if isinstance(event, Audio) else 100
            self._early.append((event, now))
            self._early_size += size
            self._room.used += size

    def _forget_early(self) -> list[tuple[Audio | Digit, float]]:
        early, self._early = self._early, []
        self._room.used -= self._early_size
        self._early_size = 0
        return early

    def _take(self, event: Audio | Digit, now: float) -> None:
        if isinstance(event, Digit):
            self._digit(event, now)
        elif event.data:
            assert self.call is not None
            seconds = len(event.data) / self.call.media.bytes_per_second
            self._credit -= max(seconds / FRAME - 1, 0)
            line = self._line(event.track)
            at = None if event.at is None else (self._started_at or now) + event.at
            line.hear(event.data, now=now, at=at, chunk=event.chunk)

    def _line(self, track: str) -> Line:
        """Frames that name no track belong to the only one."""
        assert self.call is not None
        track = track or self.call.tracks[0]
        if track not in self.lines:
            opening = Opening(
                uid=uuid4(),
                call_id=self.call.call_id,
                track=track,
                dialect=self.dialect.name,
                channel=self.call.channel,
                media=self.call.media,
                said=self.call.said,
                key=self.call.key,
            )
            self.lines[track] = Line(opening, self._room, self._tell)
        return self.lines[track]

    def _digit(self, event: Digit, now: float) -> None:
        assert self.call is not None
        if DIGIT.fullmatch(event.digit):
            at = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")
            track = event.track or self.call.tracks[0]
            entry = {"track": track, "digit": event.digit, "at": at.replace("+00:00", "Z")}
            self._tell(Note(self.call.call_id, "dtmf", entry))

    def _tell(self, note: Note) -> None:
        """As many as a call keeps, so that a flood takes no place from other calls."""
        self._noted[note.kind] += 1
        if self._noted[note.kind] <= MAX_NOTES:
            self._carry_note(note)

    def _warn(self, words: str) -> None:
        """Once a socket: whoever sends garbage sends much of it."""
        if not self._warned:
            self._warned = True
            log.warning("%s: not understood: %s", self, words)
