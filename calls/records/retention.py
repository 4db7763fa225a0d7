"""What time does to finished calls: they are archived, later deleted, unless they are held."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from calls.models import Call, Lease, StrayFile
from calls.models.audit import Verb
from calls.models.call import CallQuerySet
from calls.records import archive, audit, deletion, files
from calls.records.archive import ArchiveRefused
from calls.records.deletion import DeletionRefused
from calls.records.storage import StorageFailed

log = logging.getLogger(__name__)

ACTOR = "system"
WORK = "retention"
LONGEST = 20.0  # seconds a turn
REST = 1.0  # times what a call took: live calls come first
AT_ONCE = 500  # calls looked at in a turn

Act = Callable[[str], object]


def is_due(*, now: datetime) -> bool:
    """Whether a turn would find anything to do."""
    return (
        StrayFile.objects.due(now=now).exists()
        or archive.is_dropping()
        or any(calls.exists() for calls, _ in _schedules(now=now))
    )


def run(*, now: datetime, longest: float = LONGEST, rest: float = REST) -> int:
    """A turn of bounded length, one at a time in the whole system; how many calls it dealt with."""
    with _alone() as still_alone:
        if still_alone is None:
            return 0
        try:
            files.remove_strays(now=now)
            archive.finish_dropping()
            return _work(still_alone, now=now, longest=longest, rest=rest)
        except StorageFailed as error:
            log.warning("calls are archived and deleted later: %s", error)
            return 0


def _schedules(*, now: datetime) -> Iterator[tuple[CallQuerySet, Act]]:
    """The calls whose time has come, each kind with what is done to them."""
    if settings.DELETE_AFTER is not None:
        yield Call.objects.to_delete(ended_before=now - settings.DELETE_AFTER), _delete
    if settings.ARCHIVE_AFTER is not None:
        yield Call.objects.to_archive(ended_before=now - settings.ARCHIVE_AFTER), _archive


def _work(still_alone: Callable[[], bool], *, now: datetime, longest: float, rest: float) -> int:
    until, done = time.monotonic() + longest, 0
    for calls, act in _schedules(now=now):
        due = calls.order_by("ended_at", "pk").values_list("call_id", flat=True)[:AT_ONCE]
        for call_id in list(due):
            began = time.monotonic()
            if began > until or not still_alone():
                return done
            done += _try(act, call_id)
            time.sleep(rest * (time.monotonic() - began))
    return done


def _try(act: Act, call_id: str) -> bool:
    """What is refused now is passed over, and met again in the next turn."""
    try:
        act(call_id)
    except (ArchiveRefused, DeletionRefused, Call.DoesNotExist) as refusal:
        log.warning("%s", refusal)
        return False
    return True


def _archive(call_id: str) -> None:
    archive.archive(call_id, now=timezone.now(), actor=ACTOR, reason="ARCHIVE_AFTER has passed")


def _delete(call_id: str) -> None:
    now, why = timezone.now(), "DELETE_AFTER has passed"
    deletion.delete(call_id, now=now, actor=ACTOR, reason=why)
    audit.record(actor=ACTOR, verb=Verb.DELETED, call_id=call_id, detail=why, now=now)


@contextmanager
def _alone() -> Iterator[Callable[[], bool] | None]:
    """None while somebody else is at it; else what says whether that is still so, and keeps it so.

    Two at once would do no harm, only the same work twice.
    """
    token = Lease.take(WORK, now=timezone.now())
    if token is None:
        yield None
        return
    try:
        yield lambda: Lease.renew(token, now=timezone.now())
    finally:
        Lease.give_back(token)
