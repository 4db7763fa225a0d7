"""What the store does with packets, whatever their order."""

import logging
import random

import pytest

from calls.ingest.store import store
from calls.models import Call, Duplicate, Packet
from calls.states import State
from tests.factories import NOW, arrival, ended_call, fresh_id, send

pytestmark = pytest.mark.django_db


def test_packets_in_any_order_give_the_same_counts() -> None:
    sequences = [n for n in range(40) if n not in (7, 8, 20)]
    for seed in range(5):
        call_id = fresh_id()
        random.Random(seed).shuffle(sequences)
        send(call_id, *sequences)
        call = Call.objects.get(call_id=call_id)
        assert (call.packet_count, call.missing, call.last_sequence) == (37, 3, 39)
        assert call.missing_ranges() == [(7, 8), (20, 20)]


def test_sequences_count_from_one_while_no_packet_zero_came() -> None:
    call_id = fresh_id()
    assert send(call_id, 3)[0].missing == 2
    assert send(call_id, 1)[0].missing == 1
    assert send(call_id, 0)[0].missing == 1
    assert Call.objects.get(call_id=call_id).missing_ranges() == [(2, 2)]


def test_a_gap_before_the_first_packet_is_a_missing_range() -> None:
    call_id = fresh_id()
    send(call_id, 4)
    assert Call.objects.get(call_id=call_id).missing_ranges() == [(1, 3)]


def test_doubles_within_one_batch_are_stored_once() -> None:
    call_id = fresh_id()
    receipts = send(call_id, 1, 1, 2, 1)
    assert [receipt.duplicate for receipt in receipts] == [False, True, False, True]
    call = Call.objects.get(call_id=call_id)
    assert (call.packet_count, call.duplicates) == (2, 2)


def test_where_doubles_fell_is_known_and_of_others_nothing_is_noted() -> None:
    call_id, other = fresh_id(), fresh_id()
    send(call_id, 0, 1, 1, 2, 1)
    send(call_id, 1, 3)
    send(other, 0, 1, 2)
    noted = Duplicate.objects.values_list("call__call_id", "sequence", "times")
    assert list(noted) == [(call_id, 1, 3)]
    assert Call.objects.get(call_id=call_id).duplicates == 3


def test_the_first_of_two_packets_with_one_sequence_stays() -> None:
    call_id = fresh_id()
    store([arrival(call_id, 1, data="first"), arrival(call_id, 1, data="second")], now=NOW)
    assert Packet.objects.get(call__call_id=call_id).data == "first"


def test_an_early_packet_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "calls"):
        send(fresh_id(), 0, 9)
    assert "8 packets missing so far (+8)" in caplog.text


def test_an_out_of_order_packet_is_counted_and_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    call_id = fresh_id()
    send(call_id, 0, 2)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "calls"):
        send(call_id, 1)
    assert "1 out of order" in caplog.text
    assert Call.objects.get(call_id=call_id).out_of_order == 1


def test_packets_in_order_are_not_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "calls"):
        send(fresh_id(), 0, 1, 2)
    assert not caplog.records


def test_a_late_packet_is_stored_counted_and_marked() -> None:
    call = ended_call(packets=2)
    [receipt] = send(call.call_id, 2)
    assert receipt.late
    assert "late" in (receipt.message or "")
    call.refresh_from_db()
    assert (call.packet_count, call.late, call.unread_late) == (3, 1, True)
    assert [p.late for p in call.packets.order_by("sequence")] == [False, False, True]


def test_an_archived_call_refuses_packets_and_others_in_the_batch_are_stored() -> None:
    archived, other = ended_call(), fresh_id()
    Call.objects.filter(pk=archived.pk).update(state=State.ARCHIVED)
    receipts = store([arrival(archived.call_id, 9), arrival(other, 0)], now=NOW)
    assert "archived" in (receipts[0].refused or "")
    assert receipts[1].refused is None
    assert archived.packets.count() == 3
    assert Call.objects.get(call_id=other).packet_count == 1


def test_every_change_raises_the_version() -> None:
    call_id = fresh_id()
    versions = []
    for sequence in (0, 1, 1, 5):
        send(call_id, sequence)
        versions.append(Call.objects.get(call_id=call_id).version)
    assert versions == sorted(set(versions))


def test_the_highest_sequence_there_is_fits() -> None:
    call_id = fresh_id()
    [receipt] = send(call_id, 2**31 - 1)
    assert (receipt.next_sequence, receipt.missing) == (2**31, 2**31 - 2)
