"""Is the AI service as a whole away? One breaker for all workers, in the database.

It opens when the service is doubted: five faults and no success within ten seconds, or a single
fault that would fail a call or that names key or address, with no success in that time either.
While it is open nothing but a probe goes out, and the probe decides: answered, it closes the
breaker, and faults count against the calls that met them; unanswered, the service is away, and
the faults since its last sign of life are given back to their calls. Any success closes it.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Q, Value
from django.db.models.functions import Concat, Left

from calls.models import AiService, Attempt, Call, Job, bulk
from calls.moves import Changes

FAULTS = 5
WINDOW = timedelta(seconds=10)
PROBE_EVERY = timedelta(seconds=5)
GIVEN_BACK = " (given back: the service was away)"
ANSWERS_WITHIN = timedelta(seconds=5)
"""A request in flight for less may still succeed: a burst is not judged by its first failures."""


def state() -> AiService:
    service, _ = AiService.objects.get_or_create(pk=AiService.ONLY)
    return service


def is_alive(*, now: datetime) -> bool:
    """Whether the service was seen to work a moment ago."""
    sign = last_sign_of_life()
    return sign is not None and sign > now - WINDOW


def last_sign_of_life() -> datetime | None:
    """When a request or a probe last succeeded."""
    success = Attempt.objects.succeeded().aggregate(at=Max("ended_at"))["at"]
    probe = AiService.objects.aggregate(at=Max("answered_at"))["at"]
    return max((moment for moment in (success, probe) if moment), default=None)


def doubt(words: str, *, now: datetime) -> None:
    """Opens the breaker, if it is closed, until a probe or a success tells."""
    AiService.objects.filter(pk=AiService.ONLY).closed().update(
        opened_at=now, confirmed_at=None, words=words[:500]
    )


def trust() -> None:
    """Closes the breaker: the service was seen to work."""
    AiService.objects.exclude(opened_at=None).update(opened_at=None, confirmed_at=None, words="")


def judge(words: str, *, now: datetime, one_is_enough: bool = False) -> None:
    """After faults: opens the breaker if there were many, or one is enough, and no success."""
    if not is_alive(now=now) and (one_is_enough or _many_faults(now=now)):
        doubt(words, now=now)


def _many_faults(*, now: datetime) -> bool:
    recent = Attempt.objects.filter(ended_at__gt=now - WINDOW).faults_of_service().count()
    undecided = Attempt.objects.open().filter(started_at__gt=now - ANSWERS_WITHIN).count()
    return recent >= FAULTS and recent >= undecided


def take_probe(*, now: datetime) -> bool:
    """Whether the caller is to send the probe that is due; for one of all workers only."""
    due = AiService.objects.probe_due(before=now - PROBE_EVERY)
    return bool(due.update(probed_at=now))


def note_answer(*, now: datetime) -> None:
    """A probe was answered."""
    AiService.objects.filter(pk=AiService.ONLY).update(answered_at=now)
    trust()


def note_silence(words: str, *, began: datetime, now: datetime) -> None:
    """A probe that began then was not answered: the service is away, if it still is doubted."""
    with transaction.atomic():
        service = AiService.objects.select_for_update().get(pk=AiService.ONLY)
        if service.opened_at is None or service.opened_at > began:
            return
        service.confirmed_at = service.confirmed_at or now
        service.words = words[:500]
        service.save(update_fields=["confirmed_at", "words"])
    _give_back(now=now)


def _give_back(*, now: datetime) -> None:
    """Faults since the last sign of life spend no retry; their calls go on when it is back."""
    since = last_sign_of_life()
    with transaction.atomic():
        faults = Attempt.objects.faults_of_service().filter(
            Q(ended_at__gt=since) if since else Q(), forgiven=False, job__finished_at=None
        )
        jobs = set(faults.values_list("job", flat=True))
        told = Concat(Left("words", 400), Value(GIVEN_BACK))
        faults.update(forgiven=True, next_try_at=now, words=told)
        _make_due(jobs, now=now)


def _make_due(jobs: set[int], *, now: datetime) -> None:
    """Those that nobody holds; the others are put back by their holders."""
    waiting = Job.objects.open().filter(pk__in=jobs, token=None, due_at__gt=now)
    calls = Call.objects.locked().filter(jobs__in=waiting)
    changes = Changes(now=now)
    for call in calls:
        changes.change(call, next_attempt_at=now)
    changes.write()
    held = list(waiting.filter(call__in=list(calls)).select_for_update().order_by("pk"))
    for job in held:
        job.due_at = now
    bulk.update(held, ["due_at"])
