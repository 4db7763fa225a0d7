"""Who listens slowly holds up nobody: a recording is sent as fast as it is read."""

import base64
import random
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from callcenter.embedded.engines import Urls
from calls.models import Call
from calls.records.recording import recording_of
from tests.factories import api_key, fresh_id, hang_up, send
from tests.processes import web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

LISTENERS = 25  # more than the pool of a web process has connections
SECONDS = 900  # of audio: more than what lies in the buffers of a connection


def long_call() -> Call:
    call_id = fresh_id()
    for sequence in range(SECONDS // 5):
        data = base64.b64encode(random.randbytes(5 * 8000)).decode()
        send(call_id, sequence, data=data, timestamp=1e9 + 5 * sequence)
    return hang_up(Call.objects.get(call_id=call_id), now=Call.objects.get().created_at)


def test_listeners_who_do_not_read_hold_no_connection(engines: Urls, tmp_path: Path) -> None:
    call, key = long_call(), api_key("read")
    whole = recording_of(call)
    with web(urls=engines, home=tmp_path) as url, ExitStack() as listening:
        client = listening.enter_context(
            httpx.Client(
                base_url=f"{url}/v1",
                headers={"authorization": f"Bearer {key}"},
                limits=httpx.Limits(max_connections=None),
                trust_env=False,
            )
        )
        path = f"/call/{call.call_id}/recording"
        answers = [
            listening.enter_context(client.stream("GET", path, headers={"range": "bytes=44-"}))
            for _ in range(LISTENERS)
        ]
        assert {answer.status_code for answer in answers} == {206}
        assert client.get(f"/call/{call.call_id}/status").status_code == 200
        heard = b"".join(answers[0].iter_bytes())
        assert heard == b"".join(whole.read(*part) for part in whole.stretches(44, whole.size))
