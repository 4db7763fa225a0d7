"""The sockets of PBXs as the database knows them: opened, alive, closed, and what they told.

Everything here may be done twice: who asks does not always hear that it was done.
"""

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from calls.ingest.ending import end_locked
from calls.ingest.media import Media
from calls.ingest.metadata import NOTED
from calls.ingest.store import create_calls
from calls.models import ApiKey, Call, Stream
from calls.moves import Changes
from calls.states import Encoding, EndReason, State

log = logging.getLogger(__name__)

MAX_NOTES = 200  # of a kind
MAX_SAID = 16_384  # characters as JSON, as much as the API takes at once


@dataclass(frozen=True, slots=True)
class Opening:
    """A stream that begins, and what its PBX says of the call; `key` is the primary key of the
    API key that let it in.
    """

    uid: UUID
    call_id: str
    track: str
    dialect: str
    channel: str
    media: Media
    said: Mapping[str, Any] = field(default_factory=dict)
    key: int | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The media format of the call, and the end of what an earlier stream of this track brought;
    `refused` says why the stream may not go on.
    """

    media: Media
    heard_until: float | None = None
    refused: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something to be kept in the call's metadata, in the list `kind`."""

    call_id: str
    kind: str
    entry: Mapping[str, Any]


ARCHIVED, REVOKED = 4409, 4401
REVOKED_WORDS = "the API key was revoked"


def open_streams(openings: Sequence[Opening], *, now: datetime) -> list[Opened]:
    """Creates calls that are new and sets what is said of them; one answer each, in order."""
    create_calls({opening.call_id for opening in openings}, now=now)
    with transaction.atomic():
        calls = _locked(opening.call_id for opening in openings)
        streams = _by_call(calls.values())
        dead = revoked((opening.key for opening in openings), now=now)
        changes = Changes(now=now)
        answers = []
        for opening in openings:
            call = calls[opening.call_id]
            answer = _open(opening, call, streams[call.pk], dead, changes, now=now)
            answers.append(answer)
        changes.write()
        begun = [one for theirs in streams.values() for one in theirs if one._state.adding]
        _take_over(begun, now=now)
        Stream.objects.bulk_create(begun, ignore_conflicts=True)
        return answers


def _take_over(begun: Iterable[Stream], *, now: datetime) -> None:
    """The newest socket stands for its track: the one before is dead, noticed or not."""
    for stream in begun:
        before = Stream.objects.filter(call=stream.call, track=stream.track, closed_at=None)
        before.update(closed_at=now, lost=True)


def close_streams(uids: Collection[UUID], *, lost: bool, now: datetime, actor: str) -> None:
    """The sockets are gone. A call whose last one was closed in order is over."""
    with transaction.atomic():
        closing = Stream.objects.filter(uid__in=uids, closed_at=None)
        calls = list(Call.objects.filter(pk__in=closing.values("call")).locked())
        closing.update(closed_at=now, lost=lost)
        if lost:
            return
        theirs = Stream.objects.filter(call__in=calls).alive(now=now)
        alive = set(theirs.values_list("call_id", flat=True))
        for call in calls:
            if call.pk not in alive and call.state == State.IN_PROGRESS:
                end_locked(
                    call, reason=EndReason.HANGUP, words="the PBX hung up", now=now, actor=actor
                )


def note_life(uids: Collection[UUID], *, now: datetime) -> None:
    """The sockets are open, whether anything comes through them or not."""
    Stream.objects.filter(uid__in=uids, closed_at=None).update(seen_at=now)


def add_notes(notes: Iterable[Note], *, now: datetime) -> None:
    """Adds entries to the lists in the calls' metadata, each once."""
    notes = list(notes)
    with transaction.atomic():
        calls = _locked(note.call_id for note in notes)
        changes = Changes(now=now)
        for note in notes:
            call = calls.get(note.call_id)
            if call is None:
                continue
            kept = call.metadata.get(note.kind)
            kept = kept if isinstance(kept, list) else []
            if note.entry not in kept and len(kept) < MAX_NOTES:
                entries = [*kept, dict(note.entry)]
                changes.change(call, metadata=call.metadata | {note.kind: entries})
        changes.write()


def _locked(names: Iterable[str]) -> dict[str, Call]:
    return {call.call_id: call for call in Call.objects.filter(call_id__in=set(names)).locked()}


def _by_call(calls: Iterable[Call]) -> dict[int, list[Stream]]:
    found: dict[int, list[Stream]] = {call.pk: [] for call in calls}
    for stream in Stream.objects.filter(call__in=found).order_by("opened_at"):
        found[stream.call_id].append(stream)
    return found


def revoked(keys: Iterable[int | None], *, now: datetime) -> set[int]:
    """Those that let nobody in any more: revoked, past their time or gone."""
    asked = {key for key in keys if key is not None}
    return asked - set(
        ApiKey.objects.live(now=now).filter(pk__in=asked).values_list("pk", flat=True)
    )


def _open(
    opening: Opening,
    call: Call,
    streams: list[Stream],
    dead: set[int],
    changes: Changes,
    *,
    now: datetime,
) -> Opened:
    if opening.key in dead:
        return Opened(opening.media, refused=REVOKED_WORDS, code=REVOKED)
    if call.state == State.ARCHIVED:
        words = f"call {call.call_id} is archived and takes no more packets"
        return Opened(opening.media, refused=words, code=ARCHIVED)
    others = [stream for stream in streams if stream.uid != opening.uid]
    said = _news(call, opening.said)
    if not others and not call.packet_count:
        said |= {"encoding": opening.media.encoding, "sample_rate": opening.media.rate}
    if said:
        changes.change(call, **said)
    if len(others) == len(streams):
        streams.append(_stream(opening, call, now=now))
    heard = [s.heard_until for s in others if s.track == opening.track and s.heard_until]
    return Opened(Media(Encoding(call.encoding), call.sample_rate), max(heard, default=None))


def _news(call: Call, said: Mapping[str, Any]) -> dict[str, Any]:
    news = dict(said)
    if news.get("metadata"):
        news["metadata"] = _with_more(call, news["metadata"])
    return {name: value for name, value in news.items() if getattr(call, name) != value}


def _with_more(call: Call, said: Mapping[str, Any]) -> dict[str, Any]:
    """The call's metadata, and what a PBX says beside; that does not grow with each redial."""
    more = {name: value for name, value in said.items() if name not in NOTED}
    known: dict[str, Any] = call.metadata
    merged = known | more
    if len(json.dumps({n: v for n, v in merged.items() if n not in NOTED})) > MAX_SAID:
        log.warning("call %s: its metadata is too long, no more is taken", call.call_id)
        return known
    return merged


def _stream(opening: Opening, call: Call, *, now: datetime) -> Stream:
    return Stream(
        uid=opening.uid,
        call=call,
        track=opening.track,
        dialect=opening.dialect,
        channel=opening.channel[:200],
        opened_at=now,
        seen_at=now,
    )
