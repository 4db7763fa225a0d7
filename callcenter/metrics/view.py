"""The view behind /metrics, for API keys with the scope `read`."""

from collections.abc import Iterable

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from ninja.errors import HttpError
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from callcenter.metrics import acknowledging, figures
from callcenter.probe import Probe
from calls.api.auth import checked, known_keys, secret_of
from calls.api.errors import answer_to, problem
from calls.ingest.batching import Busy
from calls.models.access import Scope

READ_WITHIN = 3.0  # seconds
KEY_COUNTS_WHEN_AWAY = 300.0  # seconds; an outage of the database is when figures are wanted

_figures = Probe(figures.read, name="metrics")


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Text for Prometheus; without the database what is known without it."""
    secret = secret_of((name.encode(), value.encode()) for name, value in request.headers.items())
    if not secret:
        return problem(401, "an API key with the scope read is needed")
    try:
        key = async_to_sync(known_keys.find)(secret, when_away=KEY_COUNTS_WHEN_AWAY)
        checked(key, Scope.READ)
    except (HttpError, Busy) as refusal:
        return answer_to(refusal)
    return HttpResponse(_text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _text() -> bytes:
    _figures.ask()
    found = _figures.answer(within=READ_WITHIN)
    if found is None:
        found = list(figures.reading(up=False, failed=len(figures.GROUPS), seconds=READ_WITHIN))
    told = CollectorRegistry()
    told.register(_Found(found))
    return bytes(generate_latest(told) + generate_latest(acknowledging.registry()))


class _Found(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
