"""Two workers share one backlog without asking anything twice."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db.models import Count
from django.utils import timezone

from callcenter.embedded.engines import Urls
from calls.models import Attempt, Call
from tests.ai_service import ai_service
from tests.factories import fresh_id, hang_up, send
from tests.processes import WORKER, running
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

CALLS = 300 if os.environ.get("LOAD") == "long" else 40


def test_no_attempt_is_made_twice(engines: Urls, tmp_path: Path) -> None:
    for _ in range(CALLS):
        call_id = fresh_id()
        send(call_id, 0, now=timezone.now())
        hang_up(Call.objects.get(call_id=call_id), now=timezone.now())
    with ai_service(failure=0.1, latency=0.2) as service, ExitStack() as stack:
        for name in ("one", "two"):
            home = tmp_path / name
            home.mkdir()
            settings = {"AI_BASE_URL": service.url, "AI_CONCURRENCY": "10"}
            stack.enter_context(running(WORKER, urls=engines, home=home, **settings))
        until(lambda: not Call.objects.waiting_for_outcome().exists(), 120)
    assert service.requests == Attempt.objects.count()
    assert Call.objects.filter(ai_outcome__in=["transcribed", "failed"]).count() == CALLS
    answered = Attempt.objects.filter(kind="success").values("job", "track")
    assert not answered.annotate(times=Count("pk")).filter(times__gt=1)
    assert service.most_in_flight <= 20
