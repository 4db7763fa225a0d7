"""How long packets wait for their acknowledgement: the one figure that no table knows.

Several processes behind one port share it through files below PROMETHEUS_MULTIPROC_DIR, which
`callcenter.web` sets before this module is imported.
"""

import os
from itertools import product

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"
ROUTES = ("stream", "bulk")
ACCEPTED, BUSY, REFUSED = OUTCOMES = ("accepted", "busy", "refused")

disable_created_metrics()  # type: ignore[no-untyped-call]
_own = CollectorRegistry()
_histogram = Histogram(
    "callcenter_ingest_acknowledgement_seconds",
    "From the last byte of a request with packets to its answer, since the web process started."
    " route: stream (one packet) or bulk. outcome: accepted (202), busy (503, to be sent again),"
    " refused (409, 429). Requests that are not plainly good (401, 422) are not in it.",
    labelnames=("route", "outcome"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    registry=_own,
)
# Looking a child up costs more than counting; those that exist also show as 0 from the start.
observe = {
    (route, outcome): _histogram.labels(route, outcome).observe
    for route, outcome in product(ROUTES, OUTCOMES)
}


def registry() -> CollectorRegistry:
    """What all processes of this port have counted."""
    if not os.environ.get(SHARED):
        return _own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared
