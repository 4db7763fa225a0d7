"""What raises an alert, once, and what is over by itself."""

from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from calls import tasks
from calls.ai import breaker
from calls.ai.jobs import reprocess
from calls.ingest import ending
from calls.models import Alert, Call, Move, Phrase
from calls.models.alert import AlertKind
from calls.records import alerts, phrases
from calls.records.alerts import acknowledge, raise_due
from calls.states import EndReason
from tests.dashboard.outcomes import (
    OVERLOADED,
    REFUSED,
    ask,
    begin_run,
    conclude,
    finish_run,
    said,
    transcribed_call,
)
from tests.factories import NOW, call_in_progress, ended_call, fresh_id, hang_up, send

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)
SILENT = NOW + timedelta(seconds=16)  # CALL_IDLE_TIMEOUT is 30
ANGRY = "this is terrible, I hate your horrible company"


def raised(kind: AlertKind) -> list[Alert]:
    return list(Alert.objects.filter(kind=kind).order_by("pk"))


def exhaust_retries(call: Call) -> Call:
    """A run whose every try fails, though the service is alive; another comes by itself."""
    breaker.state()
    claim = begin_run(call)
    for _ in range(settings.MAX_AI_RETRIES + 1):
        ask(claim, "inbound", OVERLOADED)
    breaker.note_answer(now=NOW + timedelta(seconds=2))
    return conclude(claim)


def fall_silent(*, now: datetime) -> None:
    """The service is doubted, and a probe goes unanswered."""
    breaker.state()
    breaker.doubt("it answered 503", now=now)
    breaker.note_silence("it answered 503", began=now, now=now)


def listen_for(text: str) -> Phrase:
    return phrases.add(text, now=NOW, actor="test")


def test_nothing_happened_and_nothing_is_raised() -> None:
    transcribed_call("thank you")
    call_in_progress(now=LATER)
    assert raise_due(now=LATER) == 0
    assert not Alert.objects.exists()


def test_a_failed_call_raises_one_alert_however_often_it_is_looked_at() -> None:
    call = finish_run(ended_call(), REFUSED)
    assert [raise_due(now=LATER) for _ in range(3)] == [1, 0, 0]
    [alert] = raised(AlertKind.FAILED)
    assert alert.call == call
    assert "refused the audio" in alert.words
    assert alert.raised_at == LATER


def test_a_call_without_a_packet_fails_and_says_so() -> None:
    call = Call.objects.create(call_id=fresh_id(), created_at=NOW, updated_at=NOW)
    ending.end(call.call_id, reason=EndReason.HANGUP, words="hangup", now=NOW, actor="test")
    raise_due(now=NOW)
    [alert] = raised(AlertKind.FAILED)
    assert "not one packet came" in alert.words


def test_a_run_that_goes_on_by_itself_and_fails_again_is_no_new_cause() -> None:
    exhaust_retries(exhaust_retries(ended_call()))
    assert Move.objects.filter(to_state="FAILED").count() == 2
    raise_due(now=LATER)
    assert len(raised(AlertKind.FAILED)) == 1


def test_a_run_that_was_asked_for_and_fails_is_a_new_cause() -> None:
    call = finish_run(ended_call(), REFUSED)
    raise_due(now=LATER)
    reprocess(call.call_id, now=LATER, actor="test")
    finish_run(call, REFUSED, now=LATER + timedelta(hours=1))
    raise_due(now=LATER + timedelta(hours=2))
    assert len(raised(AlertKind.FAILED)) == 2


def test_a_failure_is_over_once_the_call_has_a_result() -> None:
    call = exhaust_retries(ended_call())
    raise_due(now=LATER)
    assert Alert.objects.open().count() == 1
    finish_run(call, said("thank you"))
    raise_due(now=LATER + timedelta(minutes=1))
    [alert] = raised(AlertKind.FAILED)
    assert alert.resolved_at == LATER + timedelta(minutes=1)
    assert not Alert.objects.open().exists()


def test_each_silence_of_a_call_raises_one_alert_and_the_next_packet_ends_it() -> None:
    call = call_in_progress()
    raise_due(now=NOW + timedelta(seconds=14))
    assert not Alert.objects.exists()
    for _ in range(2):
        raise_due(now=SILENT)
    [alert] = raised(AlertKind.SILENT)
    assert (alert.call, alert.resolved_at) == (call, None)
    send(call.call_id, 9, now=SILENT + timedelta(seconds=1))
    raise_due(now=SILENT + timedelta(seconds=2))
    alert.refresh_from_db()
    assert alert.resolved_at == SILENT + timedelta(seconds=2)
    raise_due(now=SILENT + timedelta(seconds=20))
    assert len(raised(AlertKind.SILENT)) == 2


def test_a_silence_is_over_when_the_call_ends() -> None:
    call = call_in_progress()
    raise_due(now=SILENT)
    hang_up(call, now=SILENT)
    raise_due(now=SILENT)
    assert not Alert.objects.open().exists()


def test_a_call_that_never_had_a_packet_has_not_gone_silent() -> None:
    Call.objects.create(call_id=fresh_id(), created_at=NOW, updated_at=NOW)
    assert raise_due(now=SILENT) == 0


def test_a_strongly_negative_turn_is_quoted_with_its_place() -> None:
    call = transcribed_call("hello", ANGRY, "not so good")
    raise_due(now=LATER)
    [alert] = raised(AlertKind.NEGATIVE)
    assert (alert.call, alert.track, alert.start) == (call, "inbound", 6.0)
    assert ANGRY in alert.words


def test_rubbish_that_was_taken_for_speech_alarms_nobody() -> None:
    call = transcribed_call("hello")
    call.result.utterances.update(text=ANGRY, score=-0.9, confidence=0.1)
    assert raise_due(now=LATER) == 0


def test_of_an_angry_call_only_the_worst_turns_are_raised() -> None:
    transcribed_call(*[ANGRY] * 9)
    raise_due(now=LATER)
    assert len(raised(AlertKind.NEGATIVE)) == 3


def test_a_new_run_with_the_same_result_raises_nothing_new() -> None:
    listen_for("horrible company")
    call = transcribed_call("hello", ANGRY)
    raise_due(now=LATER)
    before = Alert.objects.count()
    reprocess(call.call_id, now=LATER, actor="test")
    finish_run(call, said("hello", ANGRY), now=LATER)
    assert raise_due(now=LATER + timedelta(hours=1)) == 0
    assert Alert.objects.count() == before == 2


def test_a_phrase_raises_one_alert_a_call_at_its_first_place() -> None:
    listen_for("Speak to a Manager")
    call = transcribed_call("hello", "let me SPEAK to a manager", "speak to a manager now")
    for _ in range(2):
        raise_due(now=LATER)
    [alert] = raised(AlertKind.PHRASE)
    assert (alert.call, alert.start) == (call, 6.0)
    assert alert.words == "“Speak to a Manager”, said by the caller, 2 times in all"


def test_who_said_the_phrase_is_told() -> None:
    listen_for("refund")
    call = call_in_progress(packets=1)
    send(call.call_id, 1, track="outbound")
    claim = begin_run(hang_up(call, now=NOW))
    ask(claim, "outbound", said("you get a refund"))
    ask(claim, "inbound", said("thank you"))
    from_both = conclude(claim)
    raise_due(now=LATER)
    [alert] = raised(AlertKind.PHRASE)
    assert alert.call == from_both
    assert "said by the agent" in alert.words


def test_an_outage_raises_one_alert_and_is_over_when_the_service_is_back() -> None:
    fall_silent(now=NOW)
    for _ in range(3):
        raise_due(now=NOW)
    [alert] = raised(AlertKind.OUTAGE)
    assert "it answered 503" in alert.words
    acknowledge([alert.pk], now=NOW, actor="user anna")
    raise_due(now=NOW)
    breaker.note_answer(now=LATER)
    raise_due(now=LATER)
    [alert] = raised(AlertKind.OUTAGE)
    assert alert.resolved_at == LATER


def test_a_mere_doubt_is_no_outage() -> None:
    breaker.state()
    breaker.doubt("it answered 503", now=NOW)
    assert raise_due(now=NOW) == 0


def test_the_next_outage_is_another() -> None:
    for at in (NOW, LATER):
        fall_silent(now=at)
        raise_due(now=at)
        breaker.note_answer(now=at)
        raise_due(now=at)
    assert len(raised(AlertKind.OUTAGE)) == 2


def test_the_database_knows_one_outage_at_a_time_and_each_cause_once() -> None:
    outage = {"kind": AlertKind.OUTAGE, "words": "down", "raised_at": NOW}
    Alert.objects.create(cause="a", **outage)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(cause="b", **outage)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(cause="a", **outage | {"resolved_at": NOW})


def test_an_alert_is_acknowledged_once_by_the_first_who_does() -> None:
    finish_run(ended_call(), REFUSED)
    raise_due(now=LATER)
    pks = list(Alert.objects.values_list("pk", flat=True))
    assert acknowledge(pks, now=LATER, actor="user anna") == 1
    assert acknowledge(pks, now=LATER, actor="user bert") == 0
    alert = Alert.objects.get()
    assert (alert.acknowledged_by, alert.acknowledged_at) == ("user anna", LATER)
    assert acknowledge([12345678], now=LATER, actor="user anna") == 0


def test_only_so_many_are_kept_and_an_ongoing_outage_always(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alerts, "KEPT", 3)
    fall_silent(now=NOW)
    raise_due(now=NOW)
    for _ in range(5):
        finish_run(ended_call(), REFUSED)
        raise_due(now=NOW + timedelta(seconds=3))
    kinds = list(Alert.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["outage", "failed", "failed", "failed"]


def test_alerts_go_with_their_call() -> None:
    call = finish_run(ended_call(), REFUSED)
    raise_due(now=LATER)
    Call.objects.filter(pk=call.pk).delete()
    assert not Alert.objects.exists()


def test_the_sweep_raises_what_is_due() -> None:
    finish_run(ended_call(), REFUSED)
    tasks.sweep()
    assert raised(AlertKind.FAILED)
