"""What time does to finished calls, and what a hold keeps it from."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from calls import tasks
from calls.ingest import metadata
from calls.ingest.store import store
from calls.models import (
    Call,
    Deletion,
    Duplicate,
    Job,
    Lease,
    Move,
    Packet,
    Recording,
    Result,
    StrayFile,
)
from calls.records import archive as archiving
from calls.records import deletion, files, holding, retention
from calls.records.archive import archive
from calls.records.deletion import DeletionRefused
from tests.calls.records.test_archive import files_in
from tests.dashboard.outcomes import REFUSED, finish_run, transcribed_call
from tests.factories import NOW, arrival, call_in_progress, ended_call, fresh_id, hang_up

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def after_a_day(settings: Any) -> None:
    settings.ARCHIVE_AFTER, settings.DELETE_AFTER = DAY, None


def run(later: timedelta = 2 * DAY) -> int:
    return retention.run(now=NOW + later, rest=0)


def state(call: Call) -> str:
    return Call.objects.values_list("state", flat=True).get(pk=call.pk)


def put_away(call: Call) -> Call:
    return archive(call.call_id, now=NOW, actor="test")


def delete(call: Call) -> Deletion:
    return deletion.delete(call.call_id, now=NOW, actor="test", reason="asked for")


def test_a_call_is_archived_once_its_time_has_come() -> None:
    call = transcribed_call()
    assert not retention.is_due(now=NOW + DAY / 2)
    assert run(DAY / 2) == 0
    assert retention.is_due(now=NOW + 2 * DAY)
    assert run() == 1
    last = Move.objects.filter(call=call).last()
    assert last is not None
    assert (last.to_state, last.actor, last.reason) == (
        "ARCHIVED",
        "system",
        "ARCHIVE_AFTER has passed",
    )


def test_zero_archives_a_call_with_its_outcome(settings: Any) -> None:
    settings.ARCHIVE_AFTER = timedelta(0)
    call = transcribed_call()
    assert run(timedelta(seconds=3)) == 1
    assert state(call) == "ARCHIVED"


def test_only_good_outcomes_are_archived_by_time() -> None:
    failed = finish_run(ended_call(), REFUSED)
    pending, talking = ended_call(), call_in_progress()
    empty = hang_up(metadata.describe(fresh_id(), {}, now=NOW), now=NOW)
    run()
    assert [state(c) for c in (failed, pending, talking)] == ["FAILED", "COMPLETED", "IN_PROGRESS"]
    assert state(empty) == "ARCHIVED"


def test_a_held_call_is_neither_archived_nor_deleted(settings: Any) -> None:
    settings.DELETE_AFTER = DAY
    call = transcribed_call()
    holding.hold(call.call_id, now=NOW)
    assert not retention.is_due(now=NOW + 2 * DAY)
    assert run() == 0
    with pytest.raises(DeletionRefused, match="held"):
        delete(call)
    holding.release(call.call_id, now=NOW)
    assert run() == 1
    assert not Call.objects.exists()


def test_nothing_happens_by_time_alone_unless_asked_for(settings: Any) -> None:
    settings.ARCHIVE_AFTER = None
    transcribed_call()
    assert not retention.is_due(now=NOW + 1000 * DAY)


def call_with_a_duplicate() -> Call:
    call = transcribed_call()
    store([arrival(call.call_id, 0)], now=NOW)
    return call


@pytest.mark.parametrize("make", [call_with_a_duplicate, lambda: put_away(call_with_a_duplicate())])
def test_deletion_leaves_nothing_but_a_receipt(kept: Path, make: Any) -> None:
    call = make()
    checksum = files.packets_checksum(call)
    receipt = delete(call)
    for model in (Call, Packet, Duplicate, Job, Move, Result, Recording, StrayFile):
        assert not model._default_manager.exists(), model
    assert not files_in(kept)
    assert (receipt.call_id, receipt.actor, receipt.at) == (call.call_id, "test", NOW)
    assert (receipt.packets, receipt.sha256) == (3, checksum)


def test_the_checksum_is_the_same_before_and_after_the_archive() -> None:
    call = transcribed_call()
    before = files.packets_checksum(call)
    assert files.packets_checksum(put_away(call)) == before
    assert files.packets_checksum(transcribed_call("other")) == before
    other = ended_call()
    store([arrival(other.call_id, 7, data="other")], now=NOW)
    assert files.packets_checksum(other) != before


@pytest.mark.parametrize("make", [call_in_progress, ended_call])
def test_a_call_that_is_not_finished_is_not_deleted(make: Any) -> None:
    call = make()
    with pytest.raises(DeletionRefused):
        delete(call)
    assert len(Packet.objects.filter(call=call)) == 3


def test_a_long_call_is_archived_before_it_is_deleted(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "DROPPED_AT_ONCE", 2)
    delete(transcribed_call())
    assert not Call.objects.exists()
    assert not files_in(kept)


def test_files_that_cannot_be_removed_now_are_removed_later(kept: Path, settings: Any) -> None:
    call = put_away(transcribed_call())
    here = settings.STORAGES
    settings.STORAGES = here | {"recordings": {"BACKEND": "calls.records.storage.Nowhere"}}
    delete(call)
    assert len(files_in(kept)) == 2
    settings.STORAGES = here
    assert retention.is_due(now=NOW)
    retention.run(now=NOW)
    assert not files_in(kept)
    assert not StrayFile.objects.exists()


def test_what_is_refused_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [transcribed_call() for _ in range(3)]
    write = files.write

    def hold_the_first(call: Call, **options: Any) -> files.Draft:
        if call.pk == calls[0].pk:
            holding.hold(call.call_id, now=NOW)
        return write(call, **options)

    monkeypatch.setattr(files, "write", hold_the_first)
    assert run() == 2
    assert [state(call) for call in calls] == ["COMPLETED", "ARCHIVED", "ARCHIVED"]
    assert not StrayFile.objects.exists()


def test_a_turn_ends_in_time() -> None:
    for _ in range(2):
        transcribed_call()
    assert retention.run(now=NOW + 2 * DAY, longest=0) <= 1


def test_one_turn_at_a_time_does_something() -> None:
    transcribed_call()
    other = Lease.take(retention.WORK, now=timezone.now())
    assert other
    assert run() == 0
    Lease.give_back(other)
    assert run() == 1
    assert run() == 0


def test_who_died_over_a_turn_holds_up_the_next_for_two_minutes_at_most() -> None:
    transcribed_call()
    died = timezone.now() - timedelta(seconds=110)
    assert Lease.take(retention.WORK, now=died)
    assert run() == 0
    Lease.objects.update(until=died)
    assert run() == 1


def test_a_turn_that_lost_its_lease_leaves_the_rest_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(3):
        transcribed_call()
    write = files.write

    def too_slow(call: Call, **options: Any) -> files.Draft:
        Lease.objects.update(until=timezone.now())
        assert Lease.take(retention.WORK, now=timezone.now())
        return write(call, **options)

    monkeypatch.setattr(files, "write", too_slow)
    assert run() == 1
    assert Lease.objects.exists()


def test_the_sweep_wakes_a_turn_when_one_is_due() -> None:
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert not OrmQ.objects.exists()
    transcribed_call()
    OrmQ.objects.all().delete()
    tasks.sweep()
    [wake] = OrmQ.objects.all()
    assert wake.func() == "calls.tasks.keep_or_remove"
    tasks.keep_or_remove()
    assert Call.objects.get().state == "ARCHIVED"
