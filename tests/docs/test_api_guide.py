"""The examples of docs/api.md do what they say, against a real web process."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callcenter.embedded.engines import Urls
from callcenter.simulator.recordings import recordings
from calls.api.auth import create_key
from calls.api.routes import REFUSALS
from calls.models import Call
from calls.states import EndReason, State
from tests.docs.blocks import DOCS, blocks
from tests.factories import NOW
from tests.processes import web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

SECONDS = 3
SPOKEN = recordings()[0].tracks["inbound"][: SECONDS * 8000]
RATE = 10  # packets a second: the examples send faster, and must wait when told so


@dataclass
class Reader:
    """Somebody who follows the page in a folder of his own."""

    home: Path
    url: str
    key: str

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.home,
            env=os.environ | {"URL": self.url, "KEY": self.key},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def reader(engines: Urls, tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "call.ulaw").write_bytes(SPOKEN)
    _, key = create_key(name="guide", scopes=["ingest", "read"], rate=RATE, now=NOW)
    with web(urls=engines, home=tmp_path) as url:
        yield Reader(tmp_path, url, key)


def stored(call_id: str) -> bytes:
    packets = Call.objects.get(call_id=call_id).packets.order_by("sequence")
    return b"".join(base64.b64decode(data) for data in packets.values_list("data", flat=True))


@pytest.mark.skipif(not shutil.which("curl"), reason="curl was not found: its examples are not run")
def test_the_examples_for_curl_make_a_call_and_a_bulk_request(reader: Reader) -> None:
    by_hand, in_bulk = blocks("api.md", "sh")
    said = reader.run("bash", "-euc", by_hand)
    call = Call.objects.get(call_id="by-hand")
    assert (call.agent, call.queue, call.caller) == ("Ada", "orders", "+4930123456")
    assert (call.packet_count, call.end_reason) == (1, EndReason.HANGUP)
    assert stored("by-hand") == SPOKEN[:1600]
    assert '"call_id":"by-hand"' in said.replace(" ", "")

    said = reader.run("bash", "-euc", in_bulk)
    assert json.loads(said) == {"accepted": 3, "duplicates": 0, "rejected": []}
    assert stored("in-bulk") == SPOKEN[:4800]
    again = json.loads(reader.run("bash", "-euc", in_bulk))
    assert (again["accepted"], again["duplicates"]) == (0, 3)


def test_the_example_in_python_sends_until_all_is_acknowledged(reader: Reader) -> None:
    (example,) = blocks("api.md", "python")
    reader.run(sys.executable, "-c", example)
    call = Call.objects.get(call_id="from-python")
    assert call.packet_count == SECONDS * 5 > RATE
    assert (call.missing, call.duplicates) == (0, 0)
    assert call.state in (State.COMPLETED, State.PROCESSING_AI)
    assert stored("from-python") == SPOKEN


def test_the_example_in_python_gives_up_what_can_never_be_taken(reader: Reader) -> None:
    (example,) = blocks("api.md", "python")
    reader.key = "cc_wrong"
    with pytest.raises(AssertionError, match="Refused: 401"):
        reader.run(sys.executable, "-c", example)


def test_the_table_names_every_refusal_of_the_api() -> None:
    rows = [line for line in (DOCS / "api.md").read_text().splitlines() if line.startswith("| ")]
    named = {number for row in rows for number in row.split("|")[1].replace(",", " ").split()}
    assert {str(status) for status in REFUSALS} <= named
