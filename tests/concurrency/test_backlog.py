"""Many calls end at once against a service that fails a quarter of the time; a real worker."""

from pathlib import Path

import pytest
from django.utils import timezone

from callcenter.embedded.engines import Urls
from calls.models import Attempt, Call
from calls.states import State
from tests.ai_service import ai_service
from tests.factories import fresh_id, hang_up, send
from tests.processes import WORKER, running
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

CALLS = 60


def test_sixty_calls_ended_at_once_all_come_out(engines: Urls, tmp_path: Path) -> None:
    with ai_service(failure=0.25, latency=0.3) as service:
        settings = {"AI_BASE_URL": service.url, "AI_CONCURRENCY": "30"}
        with running(WORKER, urls=engines, home=tmp_path, **settings) as worker:
            for _ in range(CALLS):
                call_id = fresh_id()
                send(call_id, 0, now=timezone.now())
                hang_up(Call.objects.get(call_id=call_id), now=timezone.now())
            until(lambda: not Call.objects.waiting_for_outcome().exists(), 90, f"{worker.said()}")
    for call in Call.objects.all():
        failures = Attempt.objects.filter(job__call=call, kind="transient").count()
        assert call.state == (State.FAILED if failures > 5 else State.COMPLETED)
    assert 65 <= service.requests <= 100
    assert service.requests == Attempt.objects.count()
