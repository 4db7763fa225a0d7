"""Calls put away for good: their recording goes to the storage, then their packets go."""

from datetime import datetime

from django.db import transaction

from calls.models import Call, Duplicate, Packet, Recording
from calls.models.recording import Kind
from calls.moves import move
from calls.records import files
from calls.records.files import Draft, FilesLost
from calls.records.packet_audio import PacketsGone
from calls.states import Outcome, State, may_move

TRIES = 3
DROPPED_AT_ONCE = 10_000  # packets a transaction


class ArchiveRefused(Exception):
    """A call that may not be archived now; says why, to the person who asked."""


class _Overtaken(Exception):
    """Packets came while the files were written."""


def archive(
    call_id: str, *, now: datetime, actor: str, reason: str = "archived by request"
) -> Call:
    """Writes the recording of an ended call with an outcome, drops its packets, moves it.

    Whenever this is interrupted, the call either is as it was or is archived with its files
    verified. Raises `Call.DoesNotExist`, `StorageFailed`, and `ArchiveRefused` where the call's
    state, its outcome or a hold forbids it.
    """
    for _ in range(TRIES):
        call = Call.objects.get(call_id=call_id)
        check(call)
        try:
            draft = files.write(call, now=now)
        except PacketsGone:
            continue
        try:
            archived = _put_away(call.pk, draft, now=now, actor=actor, reason=reason)
        except BaseException as error:
            files.abandon(draft, now=now)
            if isinstance(error, _Overtaken | FilesLost):
                continue
            raise
        drop_packets(archived.pk)
        return archived
    raise ArchiveRefused(f"call {call_id} cannot be archived now: its packets are still coming")


def check(call: Call) -> None:
    """Raises `ArchiveRefused` unless the call may be archived."""
    why = _why_not(call)
    if why:
        raise ArchiveRefused(f"call {call.call_id} cannot be archived: {why}")


def is_dropping() -> bool:
    """Whether packets of archived calls are left."""
    return Recording.objects.filter(dropping=True).exists()


def finish_dropping() -> None:
    """Drops what is left of the packets of archived calls, where somebody died over it."""
    for recording in Recording.objects.filter(dropping=True)[:100]:
        drop_packets(recording.call_id)


def drop_packets(pk: int) -> None:
    """What is left of an archived call, a part at a time; it takes no packets any more."""
    marked = Recording.objects.filter(call=pk, dropping=True)
    if not marked.exists():
        return
    packets = Packet.objects.filter(call=pk).order_by("sequence").values_list("sequence", flat=True)
    while bound := packets[DROPPED_AT_ONCE : DROPPED_AT_ONCE + 1].first():
        _drop(pk, sequence__lt=bound)
    _drop(pk)
    marked.update(dropping=False)


def _drop(pk: int, **which: int) -> None:
    for table in (Duplicate, Packet):
        table._default_manager.filter(call=pk, **which).delete()


def _why_not(call: Call) -> str:
    if call.state == State.IN_PROGRESS:
        return "it has not ended yet"
    if call.state == State.ARCHIVED:
        return "it is archived already"
    if call.ai_outcome == Outcome.PENDING:
        return "it still waits for its AI outcome"
    if call.held:
        return "it is held"
    return "" if may_move(call.state, State.ARCHIVED) else f"it is {call.state}"


def _put_away(pk: int, draft: Draft, *, now: datetime, actor: str, reason: str) -> Call:
    """All or nothing; only the packets of a long call are dropped after it, a part at a time."""
    with transaction.atomic():
        call = Call.objects.locked().get(pk=pk)
        check(call)
        if call.packet_count != draft.packets:
            raise _Overtaken
        files.adopt(draft)
        if draft.packets > DROPPED_AT_ONCE:
            call.recordings.filter(kind=Kind.PACKETS).update(dropping=True)
        else:
            _drop(call.pk)
        call.jobs.open().delete()
        move(call, State.ARCHIVED, now=now, actor=actor, reason=reason, next_attempt_at=None)
        return call
