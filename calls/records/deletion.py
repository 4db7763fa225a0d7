"""The end of a call for good; a receipt stays."""

import logging
from datetime import datetime

from django.db import transaction

from calls.models import Call, Deletion
from calls.records import archive, files
from calls.records.storage import StorageFailed
from calls.states import Outcome, State

log = logging.getLogger(__name__)

TRIES = 3


class DeletionRefused(Exception):
    """A call that may not be deleted now; says why, to the person who asked."""


def delete(call_id: str, *, now: datetime, actor: str, reason: str) -> Deletion:
    """Removes all that is known of a call: packets, text, journal, and its files after the commit.

    Raises `Call.DoesNotExist`, `DeletionRefused`, and what `archive` raises: a long call is
    archived first, which alone drops packets in parts and still leaves a whole call behind.
    """
    for _ in range(TRIES):
        call = Call.objects.get(call_id=call_id)
        check(call)
        if call.state == State.ARCHIVED:
            archive.drop_packets(call.pk)
        elif call.packet_count > archive.DROPPED_AT_ONCE:
            archive.archive(call_id, now=now, actor=actor, reason=f"to be deleted: {reason}")
        checksum = files.packets_checksum(call)
        receipt = _delete(call, checksum, now=now, actor=actor, reason=reason)
        if receipt is not None:
            _remove_files(now=now)
            return receipt
    raise DeletionRefused(f"call {call_id} cannot be deleted now: its packets are still coming")


def check(call: Call) -> None:
    """Raises `DeletionRefused` unless the call may be deleted."""
    why = _why_not(call)
    if why:
        raise DeletionRefused(f"call {call.call_id} cannot be deleted: {why}")


def _why_not(call: Call) -> str:
    if call.state == State.IN_PROGRESS:
        return "it has not ended yet"
    if call.ai_outcome == Outcome.PENDING:
        return "it still waits for its AI outcome"
    return "it is held" if call.held else ""


def _delete(
    read: Call, checksum: str, *, now: datetime, actor: str, reason: str
) -> Deletion | None:
    """None where packets came since the call was read."""
    with transaction.atomic():
        call = Call.objects.locked().get(pk=read.pk)
        check(call)
        if call.packet_count != read.packet_count:
            return None
        files.doom(call.recordings.values_list("name", flat=True), now=now)
        call.delete()
        return Deletion.objects.create(
            call_id=call.call_id,
            at=now,
            actor=actor[:200],
            reason=reason[:500],
            created_at=call.created_at,
            packets=call.packet_count,
            sha256=checksum,
        )


def _remove_files(*, now: datetime) -> None:
    try:
        files.remove_strays(now=now)
    except StorageFailed as error:
        log.warning("files of deleted calls are removed later: %s", error)
