"""The journal is read to its end, whatever order its commits come in."""

from datetime import timedelta
from threading import Event, Thread

import pytest
from django.db import connection, transaction

from calls.models import Alert, Bookmark, Call
from calls.models.alert import AlertKind
from calls.moves import move
from calls.records import alerts, phrases
from calls.records.alerts import raise_due
from calls.states import EndReason, State
from tests.dashboard.outcomes import REFUSED, finish_run, transcribed_call
from tests.factories import NOW, call_in_progress, ended_call
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOW + timedelta(hours=1)
SOON = 10.0  # seconds


def alarmed() -> set[int | None]:
    """The calls whose failure was noticed."""
    return {alert.call_id for alert in Alert.objects.filter(kind=AlertKind.FAILED)}


def test_a_long_backlog_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "ROUND", 2)

    def all_are_read_at_once() -> bool:
        while raise_due(now=LATER):
            pass
        failed = {finish_run(ended_call(), REFUSED).pk for _ in range(7)}
        return raise_due(now=LATER) == 7 and failed <= alarmed()

    # Behind a transaction that is under way, an autovacuum's too, the reader goes on later.
    until(all_are_read_at_once, 10)


def test_what_was_read_once_and_is_over_is_not_read_again() -> None:
    transcribed_call("I want a refund")
    for _ in range(3):
        raise_due(now=LATER)
    phrases.add("refund", now=NOW, actor="test")
    assert raise_due(now=LATER) == 0


def test_a_move_that_is_committed_behind_a_later_one_is_not_missed() -> None:
    slow = call_in_progress()
    moved, go_on = Event(), Event()

    def fail_slowly() -> None:
        try:
            with transaction.atomic():
                call = Call.objects.locked().get(pk=slow.pk)
                ended = {"ended_at": NOW, "end_reason": EndReason.OPERATOR}
                move(call, State.FAILED, now=NOW, actor="test", reason="slow", **ended)
                moved.set()
                go_on.wait(SOON)
        finally:
            connection.close()

    thread = Thread(target=fail_slowly)
    thread.start()
    assert moved.wait(SOON)
    quick = finish_run(ended_call(), REFUSED)
    for _ in range(3):
        raise_due(now=LATER)
    assert slow.pk not in alarmed()
    assert quick.pk in alarmed()
    go_on.set()
    thread.join(SOON)
    raise_due(now=LATER)
    assert alarmed() >= {slow.pk, quick.pk}


def test_two_sweeps_at_the_same_time_do_not_wait_for_each_other() -> None:
    finish_run(ended_call(), REFUSED)
    raise_due(now=LATER)
    held, go_on = Event(), Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Bookmark.objects.select_for_update().get(reader=alerts.READER)
                held.set()
                go_on.wait(SOON)
        finally:
            connection.close()

    thread = Thread(target=hold)
    thread.start()
    assert held.wait(SOON)
    finish_run(ended_call(), REFUSED)
    assert raise_due(now=LATER) == 0
    go_on.set()
    thread.join(SOON)
    assert raise_due(now=LATER) == 1


def test_a_database_restored_from_a_dump_goes_on() -> None:
    raise_due(now=LATER)
    Bookmark.objects.update(transaction=2**62)
    call = finish_run(ended_call(), REFUSED)
    raise_due(now=LATER)
    assert alarmed() == {call.pk}
    assert Bookmark.objects.get().transaction < 2**62
