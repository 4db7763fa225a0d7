"""Who saw and did what: written once, never changed."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from calls.api.auth import create_key, revoke_key
from calls.models import Audit
from calls.models.audit import Verb
from calls.records.audit import REPEATED_WITHIN, record
from tests.factories import NOW

pytestmark = pytest.mark.django_db

A_WHILE = REPEATED_WITHIN + timedelta(seconds=1)


def verbs() -> list[str]:
    return list(Audit.objects.order_by("pk").values_list("verb", flat=True))


def test_a_look_that_repeats_itself_is_one_row() -> None:
    for seconds in (0, 1, 30, 300):
        moment = NOW + timedelta(seconds=seconds)
        record(actor="user anna", verb=Verb.PLAYED, call_id="c-1", now=moment)
    assert verbs() == ["played"]
    record(actor="user anna", verb=Verb.PLAYED, call_id="c-1", now=NOW + A_WHILE)
    assert verbs() == ["played", "played"]


def test_another_person_call_or_kind_is_another_row() -> None:
    record(actor="user anna", verb=Verb.OPENED, call_id="c-1", now=NOW)
    record(actor="user bert", verb=Verb.OPENED, call_id="c-1", now=NOW)
    record(actor="user anna", verb=Verb.OPENED, call_id="c-2", now=NOW)
    record(actor="user anna", verb=Verb.EXPORTED, call_id="c-1", detail="transcript.txt", now=NOW)
    record(actor="user anna", verb=Verb.EXPORTED, call_id="c-1", detail="transcript.vtt", now=NOW)
    assert Audit.objects.count() == 5


def test_what_changes_something_is_a_row_each_time() -> None:
    for _ in range(2):
        record(actor="user anna", verb=Verb.REPROCESSED, call_id="c-1", now=NOW)
    assert verbs() == ["reprocessed", "reprocessed"]


def test_what_comes_from_outside_is_cut_and_never_refused() -> None:
    row = record(
        actor="user " + "a" * 500,
        verb=Verb.REFUSED,
        call_id="c\0" * 300,
        detail="/" * 5000,
        now=NOW,
    )
    assert row
    assert (len(row.actor), len(row.call_id), len(row.detail)) == (200, 128, 500)


def test_the_database_lets_no_row_be_changed_or_deleted() -> None:
    record(actor="user anna", verb=Verb.DELETED, call_id="c-1", now=NOW)
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        Audit.objects.update(actor="nobody")
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        Audit.objects.all().delete()
    assert Audit.objects.get().actor == "user anna"


def test_keys_are_recorded_where_they_are_made_and_revoked() -> None:
    key, secret = create_key(name="pbx", scopes=["read"], now=NOW, actor="user anna")
    for _ in range(2):
        revoke_key(key, now=NOW, actor="user bert")
    rows = Audit.objects.order_by("pk").values_list("actor", "verb", "detail")
    assert list(rows) == [
        ("user anna", "key_created", f"{key}: read"),
        ("user bert", "key_revoked", str(key)),
    ]
    assert secret not in str(list(rows))


def test_commands_are_named() -> None:
    call_command("create_api_key", "pbx", "--scope", "read")
    assert Audit.objects.get().actor == "command create_api_key"


@pytest.mark.django_db(transaction=True)
def test_many_range_requests_at_the_same_instant_are_one_row() -> None:
    together = Barrier(4)

    def play() -> None:
        try:
            together.wait(10)
            record(actor="user anna", verb=Verb.PLAYED, call_id="c-1", now=NOW)
        finally:
            connection.close()

    threads = [Thread(target=play) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert verbs() == ["played"]
