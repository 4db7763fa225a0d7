"""What an orchestrator hears of the process in a container."""

import os
import time
from pathlib import Path

import pytest

from callcenter import healthcheck
from callcenter.worker import watch
from tests.processes import free_port


def test_a_worker_that_left_a_sign_lately_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert healthcheck.main(["worker"]) == "the worker gives no sign of life"
    sign = tmp_path / f"{watch.HOMES}x" / "alive"
    sign.parent.mkdir()
    sign.touch()
    assert healthcheck.main(["worker"]) == ""
    before = time.time() - 2 * healthcheck.SIGN_OF_LIFE_WITHIN
    os.utime(sign, (before, before))
    assert healthcheck.main(["worker"]) == "the worker gives no sign of life"


def test_a_web_process_that_does_not_answer_is_told_with_its_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    assert healthcheck.main(["web"]).startswith(f"/health on port {port}: ")


@pytest.mark.parametrize("words", [[], ["database"], ["web", "worker"]])
def test_what_cannot_be_asked_is_a_usage_error(words: list[str]) -> None:
    assert healthcheck.main(words).startswith("usage: ")
