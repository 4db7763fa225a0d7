"""From the ended call to its outcome, with a real driver and a service that misbehaves."""

import base64
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from calls import dispatch
from calls.ai import breaker, claims, driver, recording, retry, runs
from calls.ai.driver import drive
from calls.ai.jobs import RunRefused, reprocess
from calls.ai.runs import Answered, Request, Standing
from calls.models import Attempt, Call, Job, Result
from calls.models.job import Origin, Verdict
from calls.states import Outcome, State
from tests.ai_service import ANSWER, AiService, ai_service
from tests.dashboard import outcomes
from tests.factories import ended_call, fresh_id, hang_up, send

pytestmark = pytest.mark.django_db(transaction=True)

LINGER, BRIEFLY = driver.LINGER, 0.05
TROUBLE = {"error": {"message": "trouble"}}


@pytest.fixture
def service(settings: Settings) -> Iterator[AiService]:
    with ai_service() as started:
        settings.AI_BASE_URL = started.url
        yield started


@pytest.fixture(autouse=True)
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule itself is tested with retry.py; here its waits are shortened to nothing."""
    real = retry.delay

    def delay(*args: object, **kwargs: object) -> float | None:
        return None if real(*args, **kwargs) is None else 0.0  # type: ignore[arg-type]

    monkeypatch.setattr(retry, "delay", delay)
    monkeypatch.setattr(retry, "throttled", lambda *_, **__: 0.0)
    monkeypatch.setattr(retry, "misconfigured", lambda *_, **__: 0.3)
    monkeypatch.setattr(driver, "LINGER", BRIEFLY)
    monkeypatch.setattr(breaker, "PROBE_EVERY", timedelta(0))


def spoken_call(*, tracks: tuple[str, ...] = ("inbound",), ago: timedelta = timedelta(0)) -> Call:
    call_id = fresh_id()
    now = timezone.now() - ago
    for number, track in enumerate(tracks):
        send(call_id, number, track=track, now=now)
    return hang_up(Call.objects.get(call_id=call_id), now=now)


def drive_until_done(call: Call) -> Call:
    for _ in range(20):
        drive()
        call.refresh_from_db()
        if call.ai_outcome != Outcome.PENDING:
            break
    return call


def kinds(call: Call, **which: object) -> list[str]:
    rows = Attempt.objects.filter(job__call=call, **which)
    return list(rows.order_by("pk").values_list("kind", flat=True))


def test_a_spoken_call_is_transcribed(service: AiService) -> None:
    call = drive_until_done(spoken_call(tracks=("inbound", "outbound")))
    assert (call.state, call.ai_outcome) == (State.COMPLETED, Outcome.TRANSCRIBED)
    assert call.has_ai_result
    assert service.requests == 2
    spoken = list(call.result.utterances.values_list("track", "start", "text"))
    assert spoken == [
        ("inbound", 0.0, "thank you for calling"),
        ("outbound", 0.0, "thank you for calling"),
    ]
    assert call.result.sentiment == "positive"
    moves = list(call.moves.values_list("from_state", "to_state"))
    assert moves == [
        ("IN_PROGRESS", "COMPLETED"),
        ("COMPLETED", "PROCESSING_AI"),
        ("PROCESSING_AI", "COMPLETED"),
    ]


def test_silence_is_no_speech_with_an_empty_transcript(service: AiService) -> None:
    service.script = [(200, {}, {"text": "", "segments": []})]
    call = drive_until_done(spoken_call())
    assert (call.state, call.ai_outcome) == (State.COMPLETED, Outcome.NO_SPEECH)
    assert call.result.transcript == ""


def test_a_call_without_decodable_audio_asks_nothing(service: AiService) -> None:
    call_id = fresh_id()
    send(call_id, 0, 1, data="just words", now=timezone.now())
    call = drive_until_done(hang_up(Call.objects.get(call_id=call_id), now=timezone.now()))
    assert (call.state, call.ai_outcome) == (State.COMPLETED, Outcome.NO_AUDIO)
    assert service.requests == 0
    assert not Result.objects.exists()
    assert call.ai_words


def test_a_transient_failure_is_tried_again_and_only_on_its_track(service: AiService) -> None:
    service.script = [(503, {}, TROUBLE)]
    call = drive_until_done(spoken_call(tracks=("inbound", "outbound")))
    assert call.ai_outcome == Outcome.TRANSCRIBED
    assert service.requests == 3
    assert sorted([kinds(call, track="inbound"), kinds(call, track="outbound")], key=len) == [
        ["success"],
        ["transient", "success"],
    ]


def test_exhausted_retries_fail_the_call_and_keep_finished_tracks(service: AiService) -> None:
    service.script = [(200, {}, ANSWER), *[(503, {}, TROUBLE)] * 6]
    call = drive_until_done(spoken_call(tracks=("inbound", "outbound")))
    assert (call.state, call.ai_outcome) == (State.FAILED, Outcome.FAILED)
    assert service.requests == 7
    assert "failed (503)" in call.ai_words
    assert kinds(call).count("transient") == 6


def test_a_failed_call_gets_three_further_runs_that_go_on_where_it_failed(
    service: AiService,
) -> None:
    service.script = [(200, {}, ANSWER), *[(503, {}, TROUBLE)] * 6 * 4]
    call = drive_until_done(spoken_call(tracks=("inbound", "outbound")))
    for _ in range(3):
        Job.objects.open().update(due_at=timezone.now())
        drive_until_done(call)
        for _ in range(20):
            drive()
    call.refresh_from_db()
    assert (call.state, call.run) == (State.FAILED, 4)
    assert service.requests == 1 + 6 * 4
    assert not Job.objects.open().exists()


def test_a_further_run_that_succeeds_uses_the_finished_track(service: AiService) -> None:
    service.script = [(200, {}, ANSWER), *[(503, {}, TROUBLE)] * 6]
    call = drive_until_done(spoken_call(tracks=("inbound", "outbound")))
    Job.objects.open().update(due_at=timezone.now())
    drive()
    call.refresh_from_db()
    assert (call.state, call.ai_outcome) == (State.COMPLETED, Outcome.TRANSCRIBED)
    assert service.requests == 8
    assert call.result.utterances.count() == 2


def test_the_calls_own_fault_fails_it_at_once_and_for_good(service: AiService) -> None:
    service.script = [(422, {}, TROUBLE)]
    call = drive_until_done(spoken_call())
    assert (call.state, service.requests) == (State.FAILED, 1)
    assert not Job.objects.open().exists()


def test_a_busy_service_spends_no_retry(service: AiService) -> None:
    service.script = [(429, {}, TROUBLE)] * 9
    call = drive_until_done(spoken_call())
    assert call.ai_outcome == Outcome.TRANSCRIBED
    assert kinds(call) == ["throttled"] * 9 + ["success"]


def test_a_refused_key_fails_no_call(service: AiService) -> None:
    service.script = [(401, {}, TROUBLE)] * 9
    call = drive_until_done(spoken_call())
    assert call.ai_outcome == Outcome.TRANSCRIBED
    assert kinds(call) == ["configuration", "success"]
    assert service.requests == 11  # nine refusals, of which eight met a probe; a probe; the call


def test_packets_that_overtake_the_end_are_in_the_result(service: AiService) -> None:
    call = spoken_call()
    now = timezone.now()
    claim = outcomes.begin_run(call, now=now)
    [found] = recording.read([claim], now=now)
    send(call.call_id, 5, now=now)
    [attempt] = runs.start([Request(claim, "inbound", 1, 1)], now=now)
    assert isinstance(attempt, Attempt)
    standing = Standing(claim, found.packets, found.tracks)
    runs.close([Answered(standing, attempt, [], last=True)], now=now)
    call.refresh_from_db()
    assert call.ai_outcome == Outcome.PENDING
    drive_until_done(call)
    assert call.ai_outcome == Outcome.TRANSCRIBED
    assert Attempt.objects.filter(job__call=call).latest("pk").packets_read == 2


def test_reprocess_starts_a_new_run_and_keeps_the_old_result_until_then(
    service: AiService,
) -> None:
    call = drive_until_done(spoken_call())
    reprocess(call.call_id, now=timezone.now(), actor="test")
    call.refresh_from_db()
    assert (call.ai_outcome, call.attempts, call.has_ai_result) == (Outcome.PENDING, 0, True)
    assert call.result.transcript
    drive_until_done(call)
    assert (call.run, call.result.run, call.attempts) == (2, 2, 1)
    assert service.requests == 2


def test_reprocess_asked_twice_queues_one_run(service: AiService) -> None:
    call = drive_until_done(spoken_call())
    for _ in range(2):
        reprocess(call.call_id, now=timezone.now(), actor="test")
    assert Job.objects.open().count() == 1


def test_reprocess_brings_a_waiting_further_run_forward(service: AiService) -> None:
    drive_until_done(spoken_call())  # a sign of life, so that the next fails for itself
    service.script = [(503, {}, TROUBLE)] * 6
    call = drive_until_done(spoken_call())
    reprocess(call.call_id, now=timezone.now(), actor="test")
    job = Job.objects.open().get()
    assert (job.origin, job.since_run, job.further_runs) == (Origin.REPROCESS, job.run, 0)
    assert drive_until_done(call).ai_outcome == Outcome.TRANSCRIBED


@pytest.mark.parametrize("state", [State.IN_PROGRESS, State.PROCESSING_AI, State.ARCHIVED])
def test_reprocess_is_refused_where_the_state_forbids_it(state: State) -> None:
    call_id = fresh_id()
    send(call_id, 0, now=timezone.now())
    call = Call.objects.get(call_id=call_id)
    if state != State.IN_PROGRESS:
        hang_up(call, now=timezone.now())
    if state == State.PROCESSING_AI:
        outcomes.begin_run(call, now=timezone.now())
    if state == State.ARCHIVED:
        Call.objects.filter(pk=call.pk).update(state=State.ARCHIVED)
    with pytest.raises(RunRefused, match=call_id):
        reprocess(call_id, now=timezone.now(), actor="test")


def test_a_job_is_claimed_by_one_only() -> None:
    ended_call(now=timezone.now() - timedelta(minutes=1))
    now = timezone.now()
    assert len(claims.claim_due(9, worker="test", now=now)) == 1
    assert claims.claim_due(9, worker="test", now=now) == []


def test_a_lost_claim_stores_nothing(service: AiService) -> None:
    call = spoken_call()
    now = timezone.now()
    claim = outcomes.begin_run(call, now=now)
    [attempt] = runs.start([Request(claim, "inbound", 1, 1)], now=now)
    assert isinstance(attempt, Attempt)
    assert runs.rescue_dead(now=now + outcomes.AWAKE + 2 * claims.LEASE) == 1
    [lost] = runs.close([Answered(Standing(claim, {}, {}), attempt, [])], now=now)
    assert isinstance(lost, claims.LostClaim)
    call.refresh_from_db()
    assert call.ai_outcome == Outcome.PENDING
    assert kinds(call) == [Verdict.ABANDONED]


def test_the_jobs_of_a_worker_known_to_be_dead_are_due_at_once() -> None:
    spoken_call()
    now = timezone.now()
    claims.claim_due(1, worker="test", now=now)
    assert runs.rescue_from("another", now=now) == 0
    assert runs.rescue_from("test", now=now) == 1
    assert len(claims.claim_due(1, worker="test", now=now)) == 1


def test_an_attempt_whose_worker_died_is_abandoned_and_spends_nothing(
    service: AiService,
) -> None:
    call = spoken_call(ago=timedelta(minutes=2))
    past = timezone.now() - timedelta(minutes=1)
    [claim] = claims.claim_due(1, worker="test", now=past)
    runs.begin([claim], now=past)
    runs.start([Request(claim, "inbound", 1, 1)], now=past)
    runs.rescue_dead(now=timezone.now())
    drive_until_done(call)
    assert call.ai_outcome == Outcome.TRANSCRIBED
    assert kinds(call) == [Verdict.ABANDONED, Verdict.SUCCESS]


def test_five_dead_workers_in_a_row_fail_the_call() -> None:
    call = spoken_call()
    now = timezone.now()
    for number in range(1, 6):
        now += 2 * claims.LEASE
        [claim] = claims.claim_due(1, worker="test", now=now)
        runs.begin([claim], now=now)
        runs.start([Request(claim, "inbound", number, 1)], now=now)
        runs.rescue_dead(now=now + 2 * claims.LEASE)
        now += 2 * claims.LEASE
    call.refresh_from_db()
    assert (call.state, call.ai_outcome) == (State.FAILED, Outcome.FAILED)
    assert "5 workers in a row died" in call.ai_words


def test_the_service_is_never_asked_more_at_once_than_allowed(
    service: AiService, settings: Settings
) -> None:
    settings.AI_CONCURRENCY = 3
    service.latency = 0.1
    waiting = [spoken_call(tracks=("inbound", "outbound")) for _ in range(6)]
    for call in waiting:
        drive_until_done(call)
    assert service.requests == 12
    assert service.most_in_flight == 3


def test_what_is_sent_is_the_audio_of_the_track(service: AiService) -> None:
    call_id = fresh_id()
    loud = base64.b64encode(b"\x00" * 160).decode()
    send(call_id, 0, data=loud, now=timezone.now())
    drive_until_done(hang_up(Call.objects.get(call_id=call_id), now=timezone.now()))
    [body] = service.bodies
    assert (-32124).to_bytes(2, "little", signed=True) * 160 in body


def test_calls_just_ended_are_claimed_before_those_run_again(service: AiService) -> None:
    again = drive_until_done(spoken_call())
    reprocess(again.call_id, now=timezone.now(), actor="test")
    fresh = spoken_call()
    now = timezone.now()
    assert [claim.call for claim in claims.claim_due(1, worker="test", now=now)] == [fresh.pk]


def test_a_place_kept_for_those_run_again_is_theirs(service: AiService) -> None:
    again = drive_until_done(spoken_call())
    reprocess(again.call_id, now=timezone.now(), actor="test")
    spoken_call()
    now = timezone.now()
    [claim] = claims.claim_due(1, worker="test", now=now, kept_for_others=1)
    assert claim.call == again.pk


def test_a_result_says_how_much_of_the_audio_is_missing(service: AiService) -> None:
    call_id = fresh_id()
    send(call_id, 0, 1, 4, now=timezone.now())
    call = drive_until_done(hang_up(Call.objects.get(call_id=call_id), now=timezone.now()))
    assert call.ai_words == "40.0% of the audio is missing: 2 packets never came."


def test_many_calls_that_end_together_wake_the_workers_once() -> None:
    for _ in range(5):
        spoken_call()
    assert OrmQ.objects.count() == 1


def test_who_is_woken_stays_awake_longer_than_wakeups_that_are_one_are_apart() -> None:
    assert dispatch.ALIKE.total_seconds() < LINGER
