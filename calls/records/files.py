"""The files of a call: written before anything points at them, forgotten never.

A name is committed as stray before its file is written, and adopted in the transaction that
archives the call. Whoever dies in between leaves a stray, which is removed once it is due.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import BinaryIO

from django.db import transaction

from calls.models import Call, Recording, StrayFile
from calls.models.recording import Kind
from calls.records import picture, storage
from calls.records.packets_file import PacketsWriter, pages
from calls.records.recording import tracks_of
from calls.records.storage import StorageFailed

IN_MEMORY = 4 * 1024 * 1024  # bytes of a file before it goes to the disk
WRITTEN_WITHIN = timedelta(hours=1)
REMOVED_AT_ONCE = 100


class FilesLost(Exception):
    """Written too slowly: the files were taken for strays meanwhile."""


@dataclass(slots=True)
class Draft:
    """What was written of a call, not yet saved; `packets` of them were read."""

    packets: int = 0
    recordings: list[Recording] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [recording.name for recording in self.recordings]


def write(call: Call, *, now: datetime) -> Draft:
    """Writes and verifies all files of a call, a stretch at a time; outside any transaction.

    Raises `StorageFailed`, and `PacketsGone` where others archive or delete the call meanwhile.
    """
    draft = Draft()
    try:
        with _spool() as packets:
            came = _write_packets(call, packets)
            draft.packets = came.total()
            kept = _keep(draft, Kind.PACKETS, packets, call, packets=draft.packets, now=now)
        kept.picture = picture.to_keep(call)
        for track, recording in tracks_of(call).items():
            with _spool() as wav:
                for stretch in recording.stretches(0, recording.size):
                    wav.write(recording.read(*stretch))
                kept = _keep(draft, Kind.AUDIO, wav, call, packets=came[track], now=now)
            kept.track, kept.seconds = track, recording.seconds
            kept.sample_rate = call.sample_rate
    except BaseException:
        abandon(draft, now=now)
        raise
    return draft


def packets_checksum(call: Call) -> str:
    """What the file of the call's packets has or would have."""
    kept = call.recordings.filter(kind=Kind.PACKETS).first()
    if kept:
        return kept.sha256
    with _spool() as packets:
        _write_packets(call, packets)
        return storage.measure_file(packets).sha256


def adopt(draft: Draft) -> None:
    """Makes the files those of the call, in the caller's transaction. Raises `FilesLost`."""
    mine, _ = StrayFile.objects.adoptable().filter(name__in=draft.names).delete()
    if mine != len(draft.names):
        raise FilesLost
    Recording.objects.bulk_create(draft.recordings)


def doom(names: Iterable[str], *, now: datetime) -> None:
    """Files that nothing will point at any more, in the caller's transaction."""
    StrayFile.objects.bulk_create([StrayFile(name=name, due_at=now, doomed=True) for name in names])


def abandon(draft: Draft, *, now: datetime) -> None:
    """Removes the files of a draft unless they were adopted: an error may come after the commit.

    What cannot be removed now is left to `remove_strays`.
    """
    mine = StrayFile.objects.filter(name__in=draft.names)
    mine.update(doomed=True, due_at=now)
    with suppress(StorageFailed):
        _remove(mine.values_list("name", flat=True))


def remove_strays(*, now: datetime) -> int:
    """Removes some of the files that are due; how many. Raises `StorageFailed`."""
    with transaction.atomic():
        rows = StrayFile.objects.due(now=now).select_for_update(skip_locked=True)
        due = [stray.name for stray in rows[:REMOVED_AT_ONCE]]
        # From here on nobody adopts them.
        StrayFile.objects.filter(name__in=due).update(doomed=True)
    _remove(due)
    return len(due)


def _remove(names: Iterable[str]) -> None:
    for name in names:
        storage.remove(name)
        StrayFile.objects.filter(name=name).delete()


def _write_packets(call: Call, target: BinaryIO) -> Counter[str]:
    """Writes the packets down; how many there are of each track."""
    came: Counter[str] = Counter()
    writer = PacketsWriter(target)
    for page in pages(call):
        writer.add(page)
        came.update(track for _, track, *_ in page)
    writer.close()
    return came


def _keep(
    draft: Draft, kind: Kind, content: BinaryIO, call: Call, *, packets: int, now: datetime
) -> Recording:
    name = storage.fresh_name(SUFFIXES[kind])
    StrayFile.objects.create(name=name, due_at=now + WRITTEN_WITHIN)
    recording = Recording(call=call, kind=kind, name=name, packets=packets, created_at=now)
    draft.recordings.append(recording)
    stored = storage.put(name, content)
    recording.bytes, recording.sha256 = stored.bytes, stored.sha256
    return recording


def _spool() -> BinaryIO:
    return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # type: ignore[return-value]


SUFFIXES = {Kind.AUDIO: ".wav", Kind.PACKETS: ".jsonl.gz"}
