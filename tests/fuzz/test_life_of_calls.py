"""The life of calls in any order of steps: short with every `make test`, long with `make fuzz`."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_django import Settings

from tests.fuzz.life import LifeOfCalls

pytestmark = pytest.mark.django_db

LONG = os.environ.get("LOAD") == "long"
SEEDS, RUNS, STEPS = (range(10), 50, 50) if LONG else (range(1), 14, 40)
EVERYWHERE = {
    "state COMPLETED", "state PROCESSING_AI", "outcome transcribed", "attempt success",
    "packet double", "packet late",
}  # fmt: skip
"""Where even a short walk comes by: a machine that stood still would prove nothing."""


@pytest.mark.parametrize("number", SEEDS)
def test_no_order_of_steps_breaks_what_holds_of_every_call(
    number: int, tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    settings.MAX_AI_RETRIES = 1
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    LifeOfCalls.reached.clear()
    run_state_machine_as_test(seed(number)(LifeOfCalls), settings=BOUNDS)
    print(f"\n{RUNS} runs of {STEPS} steps:", dict(sorted(LifeOfCalls.reached.items())))
    assert set(LifeOfCalls.reached) >= EVERYWHERE


BOUNDS = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
