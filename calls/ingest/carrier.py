"""Carries what the PBXs' sockets of a process bring to the database, and waits while it is away.

Packets go through a group commit of their own, all that is ready together twenty times a second:
so those of the API do not wait behind them, and a transaction for every few of them would take the
time of a processor. Streams are opened and closed many at once too, by another thread, so that no
packet waits for it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar
from weakref import WeakKeyDictionary

from django.utils import timezone

from calls.courtesy import turn
from calls.ingest import streams
from calls.ingest.batching import Busy, Writer
from calls.ingest.line import Line, Room
from calls.ingest.numbering import Heard
from calls.ingest.session import Session
from calls.ingest.streams import Note, Opened
from calls.models.stream import beat_every

log = logging.getLogger(__name__)

TICK = 0.05  # seconds between two batches of packets
CHORES_TICK = 0.1  # seconds
LOOK = 0.2  # seconds until a session is looked after again
PATIENCE = 5.0  # seconds; nobody waits for an answer here
AWAY = 0.3  # seconds until the database is tried again
PACKETS = 1000  # stored together
EACH = 50  # packets of a track
CHORES = 50  # streams opened or closed, and notes taken, together
ROOM = 128 * 1024 * 1024  # bytes that wait at most
MAX_NOTES = 10_000
MAX_SESSIONS = 5000

Parcel = tuple[Line, list[Heard]]
Thing = TypeVar("Thing")


_writer, _clerk = Writer(turn), Writer()


class Carrier:
    """Works while there are sessions; belongs to one event loop."""

    def __init__(self) -> None:
        self.room = Room(ROOM)
        self._sessions: dict[Session, None] = {}
        self._notes: list[Note] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beaten = self._looked = 0.0
        self._away = False

    @property
    def is_full(self) -> bool:
        return len(self._sessions) >= MAX_SESSIONS

    def join(self, session: Session) -> None:
        self._sessions[session] = None
        for work, pause in ((self._store, TICK), (self._do_chores, CHORES_TICK)):
            if work.__name__ not in self._tasks:
                self._tasks[work.__name__] = asyncio.create_task(self._repeat(work, pause))

    def tell(self, note: Note) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes.append(note)

    async def _repeat(self, work: Callable[[], Awaitable[bool]], usual: float) -> None:
        """Again and again while there are sessions; at once where there is more to do."""
        while self._sessions or self._notes:
            try:
                pause = 0.0 if await work() else usual
                self._note_presence()
            except Busy as error:
                self._note_absence(error)
                pause = AWAY
            except Exception:
                log.exception("what PBXs sent could not be stored")
                pause = AWAY
            await asyncio.sleep(pause)
        del self._tasks[work.__name__]

    def _note_absence(self, error: Busy) -> None:
        if not self._away:
            self._away = True
            log.warning("%d sockets of PBXs wait for the database: %s", len(self._sessions), error)

    def _note_presence(self) -> None:
        if self._away:
            self._away = False
            log.warning("the database takes what sockets of PBXs bring again")

    def _lines(self) -> Iterator[tuple[Session, Line]]:
        for session in self._sessions:
            for line in session.lines.values():
                yield session, line

    # Packets ---------------------------------------------------------------------------------

    async def _store(self) -> bool:
        """Stores what is ready; whether there may be more. Raises `Busy`."""
        self._look_after(now=time.time())
        parcels = self._parcels()
        if not parcels:
            return False
        await _apart(self._store_together, parcels, _give_up_parcel)
        return sum(len(heard) for _, heard in parcels) >= PACKETS // 2

    def _look_after(self, *, now: float) -> None:
        if abs(now - self._looked) >= LOOK:  # also where the clock was set back
            self._looked = now
            for session in self._sessions:
                session.look_after(now=now)

    def _parcels(self) -> list[Parcel]:
        parcels: list[Parcel] = []
        count = 0
        for _, line in self._lines():
            if line.opened and line.waits and count < PACKETS:
                heard = line.due(EACH)
                parcels.append((line, heard))
                count += len(heard)
        return parcels

    async def _store_together(self, parcels: Sequence[Parcel]) -> None:
        receipts = iter(
            await _writer.store([one for _, heard in parcels for one in heard], patience=PATIENCE)
        )
        for line, heard in parcels:
            theirs = list(islice(receipts, len(heard)))
            if refused := next((r.refused for r in theirs if r.refused), None):
                line.warn_once(refused)
            line.stored(len(heard))

    # Streams and notes -----------------------------------------------------------------------

    async def _do_chores(self) -> bool:
        """Raises `Busy`."""
        opening = list(islice(self._to_open(), CHORES))
        # Those that come meanwhile, or while more have to be opened, may be of calls yet unknown.
        notes = self._notes[:CHORES] if len(opening) < CHORES else []
        if opening:
            await _apart(self._open, opening, _give_up_opening)
        if notes:
            await _apart(self._write_down, notes, _give_up_note)
            del self._notes[: len(notes)]
        closing = list(islice(self._to_close(), CHORES))
        if closing:
            await self._close(closing)
        if time.monotonic() - self._beaten > beat_every():
            await self._beat()
        self._settle()
        return len(opening) == CHORES or len(closing) == CHORES

    async def _run(self, work: Callable[[], Thing]) -> Thing:
        return await _clerk.run(work, patience=PATIENCE)

    def _to_open(self) -> Iterator[tuple[Session, Line]]:
        """One of each track of a call, and none before all is stored of one that is over."""
        held = set()
        for session, line in self._lines():
            track = (line.opening.call_id, line.opening.track)
            if track in held or session.is_refused:
                continue
            if line.opened is None:
                held.add(track)
                yield session, line
            elif session.is_over and line.waits:
                held.add(track)

    async def _open(self, opening: Sequence[tuple[Session, Line]]) -> None:
        wanted = [line.opening for _, line in opening]
        answers: list[Opened] = await self._run(
            lambda: streams.open_streams(wanted, now=timezone.now())
        )
        for (session, line), opened in zip(opening, answers, strict=True):
            if opened.refused:
                session.refuse(opened.code, opened.refused)
            else:
                line.opened = opened

    async def _write_down(self, notes: Sequence[Note]) -> None:
        await self._run(lambda: streams.add_notes(notes, now=timezone.now()))

    def _to_close(self) -> Iterator[tuple[Session, Line]]:
        telling = {note.call_id for note in self._notes}
        for session, line in self._lines():
            is_stored = not line.waits and line.opening.call_id not in telling
            if session.is_over and line.opened and is_stored and not line.is_closed:
                yield session, line

    async def _close(self, closing: Sequence[tuple[Session, Line]]) -> None:
        for lost in (False, True):
            lines = [line for session, line in closing if session.is_lost == lost]
            uids = [line.opening.uid for line in lines]
            if uids:
                await self._run(
                    lambda uids=uids, lost=lost: streams.close_streams(  # type: ignore[misc]
                        uids, lost=lost, now=timezone.now(), actor="pbx"
                    )
                )
                for line in lines:
                    line.is_closed = True

    async def _beat(self) -> None:
        uids = [line.opening.uid for _, line in self._lines() if line.opened]
        if uids:
            await self._run(lambda: streams.note_life(uids, now=timezone.now()))
        await self._dismiss()
        self._beaten = time.monotonic()

    async def _dismiss(self) -> None:
        """Whoever revoked a key wants no more of what comes with it, calls under way included."""
        keyed = [(one, one.call.key) for one in self._sessions if one.call and not one.is_over]
        keys = {key for _, key in keyed}
        dead = await self._run(lambda: streams.revoked(keys, now=timezone.now()))
        for session, key in keyed:
            if key in dead:
                session.refuse(streams.REVOKED, streams.REVOKED_WORDS)

    def _settle(self) -> None:
        for session in list(self._sessions):
            lines = session.lines.values()
            if session.is_over and (session.is_refused or all(line.is_closed for line in lines)):
                del self._sessions[session]
                session.settled.set()


async def _apart(
    work: Callable[[Sequence[Thing]], Awaitable[None]],
    things: Sequence[Thing],
    give_up: Callable[[Thing], None],
) -> None:
    """Works on all together; where the database refuses that, on each, so that one harms none."""
    try:
        await work(things)
    except Busy:
        raise
    except Exception:
        if len(things) == 1:
            log.exception("what a PBX sent could not be stored")
            give_up(things[0])
            return
        for thing in things:
            await _apart(work, [thing], give_up)


def _give_up_parcel(parcel: Parcel) -> None:
    line, heard = parcel
    line.stored(len(heard))


def _give_up_opening(opening: tuple[Session, Line]) -> None:
    opening[0].refuse(1011, "the call cannot be stored")


def _give_up_note(_: Note) -> None:
    """It has been logged."""


_carriers: WeakKeyDictionary[asyncio.AbstractEventLoop, Carrier] = WeakKeyDictionary()


def carrier() -> Carrier:
    """That of the running loop."""
    return _carriers.setdefault(asyncio.get_running_loop(), Carrier())
