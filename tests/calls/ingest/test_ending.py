"""The end of a call."""

from datetime import timedelta

import pytest
from django.conf import settings
from django_q.models import OrmQ

from calls.ingest.ending import end_silent_calls, queue_runs_for_late_packets
from calls.ingest.metadata import describe
from calls.models import Call, Job
from calls.models.job import Origin
from calls.states import EndReason, Outcome, State
from tests.factories import NOW, call_in_progress, ended_call, fresh_id, hang_up, send

pytestmark = pytest.mark.django_db

IDLE = timedelta(seconds=settings.CALL_IDLE_TIMEOUT)
MOMENT = timedelta(seconds=1)


def test_a_hangup_completes_the_call_and_queues_its_run() -> None:
    call = hang_up(call_in_progress(), now=NOW)
    assert (call.state, call.end_reason, call.ended_at) == (State.COMPLETED, "hangup", NOW)
    job = Job.objects.get(call=call)
    assert (job.run, job.origin, job.due_at) == (1, Origin.END, NOW)
    assert OrmQ.objects.filter(lock=NOW).exists()


def test_a_second_hangup_changes_nothing() -> None:
    call = ended_call()
    again = hang_up(call, now=NOW + IDLE)
    assert (again.version, again.ended_at) == (call.version, call.ended_at)
    assert call.moves.count() == Job.objects.filter(call=call).count() == 1


def test_a_call_without_one_packet_fails_and_asks_nothing_of_the_ai() -> None:
    call = hang_up(describe(fresh_id(), {"agent": "Ada"}, now=NOW), now=NOW)
    assert (call.state, call.ai_outcome, call.processed_at) == (State.FAILED, "no_audio", NOW)
    assert not Job.objects.filter(call=call).exists()


def test_a_call_goes_on_until_it_has_been_silent_for_the_idle_timeout() -> None:
    call = call_in_progress()
    assert end_silent_calls(now=NOW + IDLE) == 0
    assert end_silent_calls(now=NOW + IDLE + MOMENT) == 1
    call.refresh_from_db()
    assert (call.state, call.end_reason) == (State.COMPLETED, EndReason.IDLE_TIMEOUT)


def test_each_packet_puts_the_idle_end_off() -> None:
    call = call_in_progress()
    send(call.call_id, 9, now=NOW + IDLE)
    assert end_silent_calls(now=NOW + IDLE + MOMENT) == 0


def test_idleness_counts_from_the_creation_while_no_packet_came() -> None:
    call = describe(fresh_id(), {}, now=NOW)
    assert end_silent_calls(now=NOW + IDLE + MOMENT) == 1
    call.refresh_from_db()
    assert (call.state, call.end_reason) == (State.FAILED, EndReason.IDLE_TIMEOUT)


def ended_by_idleness() -> Call:
    call = call_in_progress()
    end_silent_calls(now=NOW + IDLE + MOMENT)
    Job.objects.filter(call=call).update(finished_at=NOW, outcome=Outcome.NO_SPEECH)
    Call.objects.filter(pk=call.pk).update(
        ai_outcome=Outcome.NO_SPEECH, has_ai_result=True, processed_at=NOW, run=1
    )
    return call


def test_late_packets_after_an_idle_end_queue_a_run_once_they_went_quiet() -> None:
    call = ended_by_idleness()
    resumed = NOW + 3 * IDLE
    send(call.call_id, 9, now=resumed)
    assert queue_runs_for_late_packets(now=resumed + IDLE) == 0
    assert queue_runs_for_late_packets(now=resumed + IDLE + MOMENT) == 1
    assert queue_runs_for_late_packets(now=resumed + IDLE + MOMENT) == 0
    job = Job.objects.open().get(call=call)
    assert (job.run, job.origin) == (2, Origin.LATE_PACKETS)
    call.refresh_from_db()
    assert call.ai_outcome == Outcome.PENDING


def test_late_packets_after_a_hangup_wait_for_a_person() -> None:
    call = ended_by_idleness()
    Call.objects.filter(pk=call.pk).update(end_reason=EndReason.HANGUP)
    send(call.call_id, 9, now=NOW + 3 * IDLE)
    assert queue_runs_for_late_packets(now=NOW + 9 * IDLE) == 0
