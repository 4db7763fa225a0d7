"""The AI service is away, hangs, refuses the key or asks to wait, while calls end.

The long form (`make load`) ends 200 calls a mode and keeps each mode for three minutes.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from callcenter.embedded.engines import Urls
from calls.models import AiService as Breaker
from calls.models import Attempt, Call
from calls.states import Outcome
from tests.ai_service import AiService, ai_service
from tests.factories import fresh_id, hang_up, send
from tests.processes import WORKER, Running, running
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

LONG = os.environ.get("LOAD") == "long"
CALLS = 200 if LONG else 20
AWAY_FOR = 180.0 if LONG else 3.0  # seconds
WIDTH = 8
TROUBLE = {"error": {"message": "trouble"}}


@pytest.fixture
def service() -> Iterator[AiService]:
    with ai_service() as started:
        yield started


@pytest.fixture
def worker(engines: Urls, tmp_path: Path, service: AiService) -> Iterator[Running]:
    settings = {"AI_BASE_URL": service.url, "AI_TIMEOUT": "2", "AI_CONCURRENCY": str(WIDTH)}
    with running(WORKER, urls=engines, home=tmp_path, **settings) as started:
        yield started


@pytest.mark.parametrize("mode", ["down", "hang", "badkey", "slow429"])
def test_an_outage_fails_no_call_and_spends_no_retry(
    mode: str, worker: Running, service: AiService
) -> None:
    begin(mode, service)
    for _ in range(CALLS):
        call_id = fresh_id()
        send(call_id, 0, now=timezone.now())
        hang_up(Call.objects.get(call_id=call_id), now=timezone.now())
    if mode != "slow429":
        until(Breaker.objects.exclude(confirmed_at=None).exists, 30, worker.said())
    asked, began = service.requests, time.monotonic()
    until(lambda: time.monotonic() - began > AWAY_FOR, AWAY_FOR + 1, "the outage to last")
    if mode != "slow429":
        # What was in flight, and a probe every five seconds, of which there are six at most.
        assert service.requests - asked <= WIDTH + AWAY_FOR / 5 + 1
    assert not Call.objects.exclude(ai_outcome=Outcome.PENDING).exists()

    end(service)

    until(lambda: not pending(), 30 + CALLS / 4, worker.said())
    assert set(Call.objects.values_list("ai_outcome", flat=True)) == {Outcome.TRANSCRIBED}
    assert not Attempt.objects.filter(kind__in=["transient", "call_fault"], forgiven=False)
    if mode != "hang":  # this service does not see that a client has left
        assert service.most_in_flight <= WIDTH
    assert not Breaker.objects.exclude(opened_at=None).exists()


def begin(mode: str, service: AiService) -> None:
    if mode == "hang":
        service.hold.clear()
    else:
        status = {"down": 503, "badkey": 401, "slow429": 429}[mode]
        service.always = (status, {"Retry-After": "1"} if status == 429 else {}, TROUBLE)


def end(service: AiService) -> None:
    service.always = None
    service.hold.set()


def pending() -> bool:
    return Call.objects.waiting_for_outcome().exists()
