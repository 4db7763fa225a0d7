"""Sockets as the database knows them: which are alive, and how their calls end."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.conf import settings

from calls.ingest import ending, metadata
from calls.ingest.media import TELEPHONE
from calls.ingest.numbering import Heard
from calls.ingest.store import store
from calls.ingest.streams import (
    Note,
    Opening,
    add_notes,
    close_streams,
    note_life,
    open_streams,
)
from calls.models import ApiKey, Call, Job
from calls.states import EndReason, Outcome, State
from tests.factories import NOW, api_key, fresh_id, send

pytestmark = pytest.mark.django_db

IDLE = timedelta(seconds=settings.CALL_IDLE_TIMEOUT)
LATER = NOW + IDLE + timedelta(seconds=1)


def opening(call_id: str, track: str = "inbound", key: int | None = None) -> Opening:
    return Opening(uuid4(), call_id, track, "asterisk", "1.1", TELEPHONE, key=key)


def opened(call_id: str, track: str = "inbound") -> UUID:
    one = opening(call_id, track)
    open_streams([one], now=NOW)
    return one.uid


def heard(call_id: str, stream: UUID, place: int, skipped: int = 0) -> Heard:
    return Heard(call_id, stream, place, f"p{place}", 10.0 + place, "inbound", 11.0, skipped)


def close(*uids: UUID, lost: bool = False) -> None:
    close_streams(uids, lost=lost, now=NOW, actor="pbx")


def call_of(call_id: str) -> Call:
    return Call.objects.get(call_id=call_id)


def test_packets_are_numbered_on_from_the_highest() -> None:
    call_id = fresh_id()
    send(call_id, 1, 2, 5)
    stream = opened(call_id)
    store([heard(call_id, stream, 1), heard(call_id, stream, 2, skipped=3)], now=NOW)
    numbers = [packet.sequence for packet in call_of(call_id).packets.order_by("sequence")]
    assert numbers == [1, 2, 5, 6, 10]
    assert call_of(call_id).missing_ranges() == [(3, 4), (7, 9)]


def test_a_batch_that_is_stored_again_doubles_nothing() -> None:
    call_id = fresh_id()
    stream = opened(call_id)
    packets = [heard(call_id, stream, place) for place in (1, 2, 3)]
    store(packets, now=NOW)
    receipts = store(packets[:2], now=NOW)
    assert [receipt.duplicate for receipt in receipts] == [True, True]
    store([*packets, heard(call_id, stream, 4)], now=NOW)
    call = call_of(call_id)
    assert (call.packet_count, call.last_sequence, call.duplicates) == (4, 4, 0)


def test_a_packet_with_a_number_of_its_own_keeps_it_beside_ours() -> None:
    call_id = fresh_id()
    stream = opened(call_id)
    numbered = heard(call_id, stream, 1)
    (other,) = send(call_id, 0)
    store([numbered], now=NOW)
    assert (other.duplicate, call_of(call_id).packet_count) == (False, 2)


def test_a_call_is_over_when_its_last_socket_was_closed_in_order() -> None:
    call_id = fresh_id()
    inbound, outbound = opened(call_id), opened(call_id, "outbound")
    store([heard(call_id, inbound, 1)], now=NOW)
    close(inbound)
    assert call_of(call_id).state == State.IN_PROGRESS
    close(outbound)
    call = call_of(call_id)
    assert (call.state, call.end_reason) == (State.COMPLETED, EndReason.HANGUP)


def test_a_dead_socket_does_not_keep_the_call_from_ending() -> None:
    call_id = fresh_id()
    dead, living = opened(call_id), opened(call_id, "outbound")
    store([heard(call_id, dead, 1)], now=NOW)
    close(dead, lost=True)
    close(living)
    assert call_of(call_id).end_reason == EndReason.HANGUP


def test_a_socket_of_a_killed_process_is_taken_over_by_the_redial() -> None:
    call_id = fresh_id()
    killed = opened(call_id)
    store([heard(call_id, killed, 1)], now=NOW)
    close(opened(call_id))
    assert call_of(call_id).end_reason == EndReason.HANGUP


@pytest.mark.parametrize("told", [True, False])
def test_a_call_whose_sockets_died_ends_as_connection_lost(told: bool) -> None:
    call_id = fresh_id()
    stream = opened(call_id)
    store([heard(call_id, stream, 1)], now=NOW)
    if told:  # else the process died with it
        close(stream, lost=True)
    assert ending.end_silent_calls(now=NOW + IDLE / 2) == 0
    assert ending.end_silent_calls(now=LATER) == 1
    call = call_of(call_id)
    assert (call.state, call.end_reason) == (State.COMPLETED, EndReason.CONNECTION_LOST)
    assert call.moves.get().reason.startswith("connection lost, no packet for")


def test_a_call_on_hold_ends_as_idle() -> None:
    call_id = fresh_id()
    stream = opened(call_id)
    store([heard(call_id, stream, 1)], now=NOW)
    note_life([stream], now=LATER)
    ending.end_silent_calls(now=LATER)
    assert call_of(call_id).end_reason == EndReason.IDLE_TIMEOUT


def test_late_packets_after_a_lost_connection_queue_a_run_by_themselves() -> None:
    call_id = fresh_id()
    stream = opened(call_id)
    store([heard(call_id, stream, 1)], now=NOW)
    ending.end_silent_calls(now=LATER)
    Job.objects.update(finished_at=LATER, outcome=Outcome.NO_AUDIO)
    Call.objects.update(ai_outcome=Outcome.NO_AUDIO, processed_at=LATER, run=1)
    store([heard(call_id, stream, 2)], now=LATER)
    assert ending.queue_runs_for_late_packets(now=LATER + IDLE * 2) == 1


def test_an_opening_tells_where_the_track_was_left() -> None:
    call_id = fresh_id()
    store([heard(call_id, opened(call_id), 1)], now=NOW)
    [again] = open_streams([opening(call_id)], now=NOW)
    [other] = open_streams([opening(call_id, "outbound")], now=NOW)
    assert (again.heard_until, other.heard_until) == (11.0, None)


def test_an_opening_may_be_asked_for_twice() -> None:
    one = opening(fresh_id())
    assert open_streams([one], now=NOW) == open_streams([one], now=NOW)
    assert call_of(one.call_id).streams.count() == 1


def test_a_key_that_was_revoked_meanwhile_is_refused() -> None:
    api_key("ingest")
    key = ApiKey.objects.latest("pk")
    [fine] = open_streams([opening(fresh_id(), key=key.pk)], now=NOW)
    key.revoke(now=NOW)
    [late] = open_streams([opening(fresh_id(), key=key.pk)], now=NOW)
    assert (fine.refused, late.code) == ("", 4401)


def test_what_redials_say_does_not_pile_up_nor_take_the_place_of_notes() -> None:
    call_id = fresh_id()
    for number in range(4):
        said = {"metadata": {f"word-{number}": "a" * 6000, "gaps": "none"}}
        begun = Opening(uuid4(), call_id, "inbound", "twilio", "MZ1", TELEPHONE, said=said)
        open_streams([begun], now=NOW)
        add_notes([Note(call_id, "gaps", {"from": str(number)})], now=NOW)
    kept = call_of(call_id).metadata
    assert set(kept) == {"word-0", "word-1", "gaps"}
    assert len(kept["gaps"]) == 4


def test_notes_are_kept_once_and_survive_new_metadata() -> None:
    call_id = fresh_id()
    opened(call_id)
    note = Note(call_id, "dtmf", {"digit": "1", "at": "now"})
    add_notes([note, note], now=NOW)
    add_notes([note], now=NOW)
    metadata.describe(call_id, {"metadata": {"ticket": "7"}}, now=NOW)
    assert call_of(call_id).metadata == {"dtmf": [note.entry], "ticket": "7"}
