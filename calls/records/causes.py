"""What there is to be alarmed about: alerts not raised yet, each with its cause; nothing is
changed here.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from django.conf import settings

from calls.models import AiService, Alert, Call, Job, Move, Phrase, Utterance
from calls.models.alert import AlertKind
from calls.models.result import LOW_CONFIDENCE
from calls.records import phrases
from calls.states import State, Track

STRONGLY_NEGATIVE = -0.6  # score of an utterance
WORST = 3  # strongly negative utterances of a call
SILENT_SHARE = 0.5  # of CALL_IDLE_TIMEOUT, after which a call ends
SILENT_CALLS = 500  # at a time
QUOTED = 300  # characters
DOWN = "The AI service is down: calls wait and go through once it is back."
SPEAKERS = {Track.INBOUND: "the caller", Track.OUTBOUND: "the agent"}


def outage() -> Iterator[Alert]:
    """One as long as it lasts. A breaker that is merely in doubt is no outage yet."""
    service = AiService.objects.exclude(confirmed_at=None).first()
    ongoing = Alert.objects.ongoing().filter(kind=AlertKind.OUTAGE)
    if service and service.confirmed_at and not ongoing.exists():
        words = f"{DOWN} {service.words}".strip()
        yield _alert(AlertKind.OUTAGE, service.confirmed_at.isoformat(), words[:500])


def silent_calls(*, now: datetime) -> Iterator[Alert]:
    """Once a silence. A call without any packet never was loud; it fails at its end."""
    after = settings.CALL_IDLE_TIMEOUT * SILENT_SHARE
    silent = Call.objects.silent_since(now - timedelta(seconds=after))
    words = f"No packet for {after:g} s; the call has not ended."
    for call in silent.exclude(last_packet_at=None).order_by("pk")[:SILENT_CALLS]:
        cause = f"{call.pk}:{call.last_packet_at:%Y-%m-%dT%H:%M:%S.%f}"
        yield _alert(AlertKind.SILENT, cause, words, call=call)


def failures(moves: Sequence[Move]) -> Iterator[Alert]:
    """Runs that go on by themselves where one failed are no new cause; those asked for are."""
    failed = [move for move in moves if move.to_state == State.FAILED]
    ended = Job.objects.filter(call__in=[move.call for move in failed])
    for move in failed:
        runs = [
            job.since_run
            for job in ended
            if job.call_id == move.call.pk and job.finished_at and job.finished_at <= move.at
        ]
        run = max(runs, default=0)
        yield _alert(AlertKind.FAILED, f"{move.call.pk}:{run}", move.reason, call=move.call)


def negative_turns(calls: Sequence[Call]) -> Iterator[Alert]:
    """The worst of a call; rubbish that was taken for speech is no turn."""
    said = Utterance.objects.filter(result__in=[call.pk for call in calls])
    sure = said.exclude(confidence__lt=LOW_CONFIDENCE)
    strong = sure.filter(score__lte=STRONGLY_NEGATIVE).order_by("result", "score", "start")
    by_pk = {call.pk: call for call in calls}
    for pk, utterances in groupby(strong, lambda one: one.result_id):
        for one in [*utterances][:WORST]:
            words = f"“{one.text[:QUOTED]}”"
            cause = f"{pk}:{one.track}:{one.start:.0f}"
            yield _alert(AlertKind.NEGATIVE, cause, words, call=by_pk[pk], place=one)


def phrases_said(calls: Sequence[Call]) -> Iterator[Alert]:
    """Once a call and phrase, at the place where it is said first."""
    wanted = list(Phrase.objects.order_by("pk")[: phrases.MAX_PHRASES])
    if not wanted:
        return
    by_pk = {call.pk: call for call in calls}
    said = Utterance.objects.filter(result__in=list(by_pk)).order_by("result", "start", "pk")
    for pk, group in groupby(said, lambda one: one.result_id):
        utterances = list(group)
        for hit in phrases.find(wanted, [one.text for one in utterances]):
            first = utterances[hit.first]
            again = f", {hit.times} times in all" if hit.times > 1 else ""
            words = f"“{hit.phrase.text}”, said by {SPEAKERS[Track(first.track)]}{again}"
            cause = f"{pk}:{hit.phrase.words}"
            yield _alert(AlertKind.PHRASE, cause, words, call=by_pk[pk], place=first)


def _alert(
    kind: AlertKind,
    cause: str,
    words: str,
    *,
    call: Call | None = None,
    place: Utterance | None = None,
) -> Alert:
    return Alert(
        kind=kind,
        cause=f"{kind}:{cause}",
        call=call,
        track=place.track if place else "",
        start=place.start if place else None,
        words=words,
    )
