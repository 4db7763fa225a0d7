"""The breaker: when it opens, what its probe decides, what is given back."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError

from calls import stats
from calls.ai import breaker, driver
from calls.ai.transcription import RequestFailed
from calls.models import AiService, Attempt, Call, Job
from calls.models.job import Verdict
from calls.states import State
from tests.dashboard import outcomes
from tests.factories import NOW, ended_call

pytestmark = pytest.mark.django_db

DOWN = RequestFailed(Verdict.TRANSIENT, "the AI service failed (503)", status=503)
REFUSED = RequestFailed(Verdict.CONFIGURATION, "the AI service refuses our key (401)", status=401)


@pytest.fixture(autouse=True)
def closed() -> None:
    breaker.state()


def fail(times: int, failure: RequestFailed = DOWN, *, now: datetime = NOW) -> None:
    """So many calls meet a failure each, a second and a half after `now`."""
    for _ in range(times):
        claim = outcomes.begin_run(ended_call(now=now), now=now)
        outcomes.ask(claim, "inbound", failure, now=now)


def succeed(*, now: datetime = NOW) -> None:
    outcomes.transcribed_call(now=now)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=1.5 + seconds)


def test_five_faults_without_a_success_open_it() -> None:
    fail(4)
    assert not breaker.state().is_open
    fail(1)
    assert breaker.state().is_open
    assert breaker.state().words == DOWN.words


def test_a_success_within_ten_seconds_keeps_it_closed() -> None:
    succeed(now=NOW - timedelta(seconds=9))
    fail(9)
    assert not breaker.state().is_open


def test_a_success_before_that_does_not() -> None:
    succeed(now=NOW - timedelta(seconds=11))
    fail(5)
    assert breaker.state().is_open


def test_faults_of_longer_ago_do_not_count() -> None:
    fail(4, now=NOW - timedelta(seconds=11))
    fail(4)
    assert not breaker.state().is_open


def test_a_burst_is_not_judged_by_its_first_failures() -> None:
    for _ in range(8):
        claim = outcomes.begin_run(ended_call(), now=NOW)
        outcomes.start(claim, "inbound", now=NOW + timedelta(seconds=1))
    fail(6)
    assert not breaker.state().is_open
    fail(2)
    assert breaker.state().is_open


def test_one_refused_key_opens_it_with_its_words() -> None:
    fail(1, REFUSED)
    assert (breaker.state().is_open, breaker.state().words) == (True, REFUSED.words)


def test_any_success_closes_it() -> None:
    fail(5)
    succeed(now=later(0))
    assert not breaker.state().is_open


def test_a_probe_is_sent_by_one_worker_at_most_every_five_seconds() -> None:
    fail(5)
    sent = [breaker.take_probe(now=later(seconds)) for seconds in (0, 0, 4.9, 5, 5, 9, 10)]
    assert sent == [True, False, False, True, False, False, True]


def test_no_probe_is_sent_while_it_is_closed() -> None:
    assert not breaker.take_probe(now=NOW)


def test_an_answered_probe_closes_it_and_the_faults_stay_spent() -> None:
    fail(5)
    breaker.note_answer(now=later(1))
    assert not breaker.state().is_open
    assert not Attempt.objects.filter(forgiven=True).exists()


def test_an_unanswered_probe_gives_the_faults_back() -> None:
    fail(5)
    for job in Job.objects.all():
        job.token = job.leased_until = None
        job.due_at = later(30)
        job.save(update_fields=["token", "leased_until", "due_at"])
    breaker.note_silence("still down", began=later(1), now=later(2))
    assert breaker.state().words == "still down"
    assert Attempt.objects.filter(forgiven=True).count() == 5
    assert set(Job.objects.values_list("due_at", flat=True)) == {later(2)}
    assert set(Call.objects.values_list("next_attempt_at", flat=True)) == {later(2)}


def test_faults_before_the_last_sign_of_life_stay_spent() -> None:
    fail(2, now=NOW - timedelta(seconds=60))
    succeed(now=NOW - timedelta(seconds=50))
    fail(5)
    breaker.note_silence("down", began=later(1), now=later(2))
    assert Attempt.objects.filter(forgiven=True).count() == 5


def test_faults_met_while_it_is_away_are_given_back_at_once() -> None:
    fail(5)
    breaker.note_silence("down", began=later(0), now=later(1))
    fail(1, now=later(1))
    newest = Attempt.objects.latest("pk")
    assert (newest.forgiven, newest.next_try_at) == (True, newest.ended_at)
    assert newest.words.endswith("(given back: the service was away)")


def test_a_probe_that_failed_late_does_not_open_it_again() -> None:
    fail(5)
    breaker.note_answer(now=later(1))
    breaker.note_silence("down", began=later(0), now=later(30))
    assert not breaker.state().is_open


def test_retries_exhausted_without_a_sign_of_life_do_not_fail_the_call() -> None:
    call = ended_call()
    claim = outcomes.begin_run(call)
    for number in range(6):
        outcomes.ask(claim, "inbound", DOWN, now=NOW + timedelta(seconds=20 * number))
    call = outcomes.conclude(claim, now=NOW + timedelta(seconds=102))
    assert (call.state, breaker.state().is_open) == (State.PROCESSING_AI, True)
    # The probe is answered: it was the call's own bad luck after all.
    breaker.note_answer(now=NOW + timedelta(seconds=105))
    claim = outcomes.begin_run(call)
    call = outcomes.conclude(claim, now=NOW + timedelta(seconds=106))
    assert call.state == State.FAILED


def test_a_short_doubt_is_no_outage_a_long_one_is() -> None:
    fail(5)
    assert stats.ai_available(now=later(5))
    assert not stats.ai_available(now=later(11))


def test_an_unanswered_probe_is_an_outage_at_once() -> None:
    fail(5)
    breaker.note_silence("down", began=later(0), now=later(1))
    assert not stats.ai_available(now=later(1))
    assert not stats.figures(now=later(1)).ai.available


def test_there_is_one_breaker() -> None:
    with pytest.raises(IntegrityError, match="ai_service_only_one"):
        AiService.objects.create(pk=2)


def test_an_open_breaker_is_work_even_where_no_job_is_due() -> None:
    assert not driver.work_waits(now=NOW)
    breaker.doubt("down", now=NOW)
    assert driver.work_waits(now=NOW)
