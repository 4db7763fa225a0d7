"""Asterisk's sockets while much or something bad happens: every frame that was sent is stored.

The short form runs with every `make test`, the long one with `make load`.
"""

import asyncio
import base64
import itertools
import os
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from callcenter.embedded import database_url
from callcenter.embedded.engines import Urls
from calls.api.auth import create_key
from calls.models import Call
from calls.states import EndReason, State
from tests.concurrency.test_ingest_under_load import Postgres
from tests.factories import NOW, api_key
from tests.load.bench import product
from tests.load.phones import numbers_in, phones, upgrade_all
from tests.load.sockets import carry, compare, measure, settle, system
from tests.processes import WEB, free_port, running, web
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

LONG = os.environ.get("LOAD") == "long"
CALLS, SECONDS, HTTP_RATE = (200, 60.0, 100.0) if LONG else (20, 3.0, 50.0)
AWAY = 10.0 if LONG else 3.0  # seconds
STRANGERS = 10_000 if LONG else 400
MOST_MEGABYTES = 300
FRAMES_APART = 0.02  # seconds


def test_many_calls_at_once_lose_no_frame_and_are_told_within_a_second() -> None:
    """While packets are posted over HTTP, too."""
    with system() as (url, key, database):
        outcome, beside = carry(
            url, key, database, calls=CALLS, seconds=SECONDS, http_rate=HTTP_RATE
        )
    assert not outcome.trouble
    assert outcome.sent == CALLS * round(SECONDS / FRAMES_APART)
    assert outcome.megabytes < MOST_MEGABYTES
    assert set(beside.statuses) == {202}


@pytest.mark.skipif(not LONG, reason="a few seconds are too short to compare times: make load")
def test_calls_over_sockets_at_most_double_the_time_of_a_packet_over_http() -> None:
    measured = measure(calls=CALLS, seconds=SECONDS, rounds=3, http_rate=HTTP_RATE)
    print("\n".join(measured.lines()))
    assert measured.ratio <= 2


def test_while_the_database_is_away_no_socket_is_closed_and_no_frame_lost(tmp_path: Path) -> None:
    calls, seconds = 20, AWAY + 4
    postgres = Postgres(tmp_path)
    with product(tmp_path, LOG_LEVEL="WARNING") as (url, key, *_):
        try:
            with phones(url, key, calls=calls, seconds=seconds, run="away") as lines:
                lines.begin()
                asyncio.run(_take_away(postgres))
                heard = lines.heard(seconds + 30)
            with psycopg.connect(database_url(tmp_path), autocommit=True) as connection:
                settle(connection, "away", calls)
                outcome = compare(connection, heard, {})
        finally:
            postgres.end()
    assert heard.closes == {"1000": calls}
    assert heard.dialled == calls
    assert outcome.sent == calls * round(seconds / FRAMES_APART)
    assert (outcome.lost, outcome.doubled, outcome.disordered) == (0, 0, 0)
    assert max(outcome.stored_after) > AWAY / 2


async def _take_away(postgres: Postgres) -> None:
    await asyncio.sleep(1)
    await asyncio.to_thread(postgres.stop)
    await asyncio.sleep(AWAY)
    await asyncio.to_thread(postgres.start)


def test_after_a_killed_web_process_redialled_calls_go_on_with_their_hole_recorded(
    engines: Urls, tmp_path: Path
) -> None:
    calls, seconds, port = 5, 6.0, free_port()
    url, key = f"http://127.0.0.1:{port}", api_key()
    with running(WEB, urls=engines, home=tmp_path, PORT=str(port)) as first:
        until(lambda: _listens(port), 30, first.said())
        with phones(url, key, calls=calls, seconds=seconds, run="killed") as lines:
            lines.begin()
            until(lambda: Call.objects.filter(packet_count__gt=5).count() == calls, 10)
            first.process.kill()
            killed_at = time.time()
            with running(WEB, urls=engines, home=tmp_path, PORT=str(port)) as second:
                heard = lines.heard(seconds + 30)
                ended = Call.objects.filter(state=State.COMPLETED)
                until(lambda: ended.count() == calls, 15, second.said())
    assert heard.dialled == 2 * calls
    assert set(Call.objects.values_list("call_id", flat=True)) == set(heard.calls)
    for call in Call.objects.all():
        stored = _stored(call)
        (hole,) = _holes(stored)
        sent = set(range(round(seconds / FRAMES_APART))) - set(heard.unheard[call.call_id])
        # What the process had not stored yet when it was killed is gone with it.
        assert len(sent - set(stored)) * FRAMES_APART < 1.0
        assert call.end_reason == EndReason.HANGUP
        assert call.missing == pytest.approx(len(hole) * FRAMES_APART / 0.2, abs=4)
        (gap,) = call.metadata["gaps"]
        begin, end = (datetime.fromisoformat(gap[name]).timestamp() for name in ("from", "to"))
        assert begin - 1 < killed_at < end
        assert end - begin == pytest.approx(len(hole) * FRAMES_APART, abs=0.5)


def _listens(port: int) -> bool:
    try:
        asyncio.run(_connect(port))
    except OSError:
        return False
    return True


async def _connect(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


def _stored(call: Call) -> list[int]:
    data = call.packets.order_by("sequence").values_list("data", flat=True)
    return [number for one in data for number in numbers_in(base64.b64decode(one))]


def _holes(numbers: list[int]) -> list[range]:
    assert numbers == sorted(set(numbers))
    return [range(a + 1, b) for a, b in itertools.pairwise(numbers) if b > a + 1]


def test_strangers_are_refused_at_once_and_the_calls_go_on(engines: Urls, tmp_path: Path) -> None:
    with (
        web(urls=engines, home=tmp_path) as url,
        phones(url, api_key(), calls=5, seconds=4.0, run="among") as lines,
    ):
        lines.begin()
        refusals = asyncio.run(upgrade_all(url, "cc_wrong", STRANGERS))
        heard = lines.heard(60)
    assert Counter(status for status, _ in refusals) == {401: STRANGERS}
    assert max(took for _, took in refusals) < 5
    assert heard.closes == {"1000": 5}
    assert not heard.refused
    assert not heard.unheard


def test_a_key_with_too_many_sockets_is_refused_more(engines: Urls, tmp_path: Path) -> None:
    _, key = create_key(name="narrow", scopes=["ingest"], rate=50, now=NOW)
    with web(urls=engines, home=tmp_path) as url:
        answers = asyncio.run(upgrade_all(url, key, 100))
    assert Counter(status for status, _ in answers) == {101: 10, 429: 90}
