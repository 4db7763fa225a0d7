"""Loaded by schemathesis: a check that it lacks, and a count of the statuses that it met."""

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

STATUSES = "FUZZ_STATUSES"  # names the file that gets the counts
statuses: Counter[int] = Counter()


@schemathesis.check
def tells_programs_in_their_language(ctx: Any, response: Any, case: Any) -> None:
    """Never HTML, whatever was asked; a refusal is an object with nothing but its detail."""
    statuses[response.status_code] += 1
    [kind] = response.headers.get("content-type", [""])
    assert "html" not in kind, f"{response.status_code} as {kind}"
    if response.status_code >= 400 and case.method != "HEAD":
        assert set(response.json()) == {"detail"}, response.content[:200]


@atexit.register
def _write() -> None:
    path = os.environ.get(STATUSES)
    if path and statuses:
        Path(path).write_text(json.dumps(statuses))
