"""schemathesis over our own OpenAPI document, against a web process: all its checks.

A short run with every `make test`; with `make fuzz` 20,000 cases and more, under every kind of
key. What is found can be repeated: the seed is that of the failing test.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from callcenter.embedded.engines import Urls
from calls.api.auth import create_key
from calls.models import Call
from calls.records.archive import archive
from tests.dashboard.outcomes import REFUSED, finish_run, transcribed_call
from tests.factories import call_in_progress, ended_call
from tests.fuzz import hooks
from tests.processes import web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

LONG = os.environ.get("LOAD") == "long"
SCHEMATHESIS = [sys.executable, "-m", "schemathesis.cli"]
CONFIG = """
seed = {seed}
headers = {{ Authorization = "Bearer {key}" }}
continue-on-failure = true
request-timeout = 10
suppress-health-check = ["all"]
# That a NUL is refused anywhere within metadata is more than the document can say.
generation.allow-x00 = false

[dictionaries.calls]
values = {calls}

[parameters]
"path.call_id" = {{ dictionary = "calls", probability = 0.6 }}
"""


@dataclass(frozen=True)
class Run:
    """One run of schemathesis with a key of these scopes; it makes at least so many `cases`."""

    scopes: str
    seed: int
    examples: int
    cases: int
    rate: int | None = None

    def __str__(self) -> str:
        rate = f"-{self.rate}-a-second" if self.rate else ""
        return f"{self.scopes or 'no-key'}{rate}-seed-{self.seed}"


EVERYTHING = "ingest read manage"
SHORT = [Run(EVERYTHING, 1, 4, 400)]
LONG_FORM = [
    *(Run(EVERYTHING, seed, 120, 2000) for seed in range(1, 9)),
    *(Run(scope, 11, 80, 1000) for scope in ("ingest", "read", "manage", "")),
    Run("ingest", 12, 80, 1000, rate=3),
]


def known_calls() -> list[str]:
    """A few calls in each state that a path can lead to."""
    now = timezone.now() - timedelta(minutes=10)
    made: list[Callable[[], Call]] = [
        lambda: call_in_progress(now=timezone.now() + timedelta(days=1)),
        lambda: ended_call(now=now),
        lambda: transcribed_call("thank you for calling", "this is terrible", now=now),
        lambda: finish_run(ended_call(now=now), REFUSED, now=now),
        lambda: archive(transcribed_call(now=now).call_id, now=now, actor="test"),
    ]
    return [make().call_id for make in made for _ in range(4)]


@pytest.mark.parametrize("run", LONG_FORM if LONG else SHORT, ids=str)
def test_every_generated_request_is_answered_as_the_document_says(
    run: Run, engines: Urls, tmp_path: Path
) -> None:
    scopes = run.scopes.split()
    key = (
        create_key(name="fuzz", scopes=scopes, rate=run.rate, now=timezone.now())[1]
        if scopes
        else "none"
    )
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(seed=run.seed, key=key, calls=json.dumps(known_calls())))
    with web(urls=engines, home=tmp_path) as url:
        said, report = schemathesis(url, config, examples=run.examples)
    statuses = json.loads((tmp_path / "statuses.json").read_text())
    print(f"\n{run}: {report['test_cases']['generated']} cases, {dict(sorted(statuses.items()))}")
    assert not report["failures"], said
    assert not report["errors"], said
    assert report["complete"], said
    assert report["test_cases"]["generated"] >= run.cases


def schemathesis(url: str, config: Path, *, examples: int) -> tuple[str, dict[str, Any]]:
    """Its words, and its report."""
    home = config.parent
    words = ["--config-file", str(config), "run", f"{url}/v1/openapi.json", "--checks=all"]
    words += [f"--max-examples={examples}", f"--report-json-path={home}/report.json"]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": hooks.__name__,
        "PYTHONPATH": str(settings.BASE_DIR),
        hooks.STATUSES: str(home / "statuses.json"),
    }
    done = subprocess.run(
        [*SCHEMATHESIS, *words], env=environment, cwd=home, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert (home / "report.json").exists(), said
    return said, json.loads((home / "report.json").read_text())
