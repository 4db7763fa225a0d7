"""What a PBX hears of while the database is stopped or frozen: nothing."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.concurrency.test_ingest_under_load import Postgres
from tests.load.bench import product
from tests.pbx.phones import asterisk
from tests.pbx.talking import audio, frames, media_start
from tests.waiting import until

pytestmark = pytest.mark.processes

AWAY = 3.0  # seconds


class System:
    def __init__(self, home: Path, url: str, key: str) -> None:
        self.url, self.key, self.postgres = url, key, Postgres(home)

    def ask(self, path: str) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.get(f"{self.url}/v1/call/{path}", headers=headers, trust_env=False)
        return answer.json() if answer.status_code == 200 else None

    def ended(self, call_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            found = self.ask(call_id) or {}
            return found if found.get("state", "IN_PROGRESS") != "IN_PROGRESS" else {}

        return until(look, 20, f"{call_id} to have ended")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with product(tmp_path) as (url, key, *_):
        system = System(tmp_path, url, key)
        try:
            yield system
        finally:
            system.postgres.end()


@pytest.mark.parametrize("way", ["stopped", "frozen"])
def test_calls_that_go_on_or_begin_or_end_meanwhile_are_stored_afterwards(
    system: System, way: str
) -> None:
    sound = audio(1.0)
    with asterisk(system.url, "call_id=goes-on", system.key) as going_on:
        going_on.send(media_start("1.1"))
        talk(going_on, sound)
        until(lambda: system.ask("goes-on/status"), 10, "the call to be there")
        leave, come_back = doors(system.postgres, way)
        leave()
        began = time.monotonic()
        with asterisk(system.url, "call_id=meanwhile", system.key) as meanwhile:
            assert time.monotonic() - began < 1
            meanwhile.send(media_start("1.2"))
            assert json.loads(meanwhile.recv(1))["command"] == "ANSWER"
            talk(meanwhile, sound)
        talk(going_on, sound)
        until(lambda: time.monotonic() - began > AWAY, AWAY + 1)
        come_back()
        talk(going_on, sound)
        going_on.ping().wait(5)
    for call_id, packets in (("goes-on", 15), ("meanwhile", 5)):
        found = system.ended(call_id)
        counted = (found["packet_count"], found["missing"], found["duplicates"])
        assert counted == (packets, 0, 0), call_id
        assert (found["end_reason"], found["metadata"]) == ("hangup", {})


def test_a_key_that_nobody_saw_lately_is_refused_at_once(system: System) -> None:
    system.postgres.stop()
    began = time.monotonic()
    with (
        pytest.raises(InvalidStatus) as refusal,
        asterisk(system.url, "", "cc_abcdefgh_" + "x" * 43),
    ):
        pass
    assert refusal.value.response.status_code == 503
    assert refusal.value.response.headers["Retry-After"] == "2"
    assert time.monotonic() - began < 3
    system.postgres.start()


def talk(socket: Any, sound: bytes) -> None:
    for frame in frames(sound):
        socket.send(frame)


def doors(postgres: Postgres, way: str) -> tuple[Any, Any]:
    if way == "stopped":
        return postgres.stop, postgres.start
    return postgres.freeze, postgres.thaw
