"""What docs/pbx.md tells integrators to paste is what the doors take."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from callcenter.embedded.engines import Urls
from callcenter.simulator.asterisk import SECTION, VARIABLES
from calls.api.pbx.conversation import KEY_REFUSED, NO_FORMAT, NO_ID, NO_START
from calls.api.pbx.doors import DOORS
from calls.api.pbx.introduction import FIELDS
from calls.api.schemas.incoming import IntroductionIn
from calls.ingest import asterisk
from calls.ingest.session import TOO_FAST
from calls.ingest.streams import ARCHIVED
from tests.docs.blocks import DOCS, blocks
from tests.factories import api_key
from tests.processes import web

PAGE = "pbx.md"


def settings_of(block: str) -> dict[str, str]:
    pairs = (line.partition(" = ") for line in block.splitlines())
    return {name: value for name, equals, value in pairs if equals}


def dial_strings() -> list[str]:
    found = [line for block in blocks(PAGE, "ini") for line in block.splitlines()]
    return [line for line in found if "Dial(WebSocket/" in line]


def test_asterisks_connection_leads_to_its_door() -> None:
    client = blocks(PAGE, "ini")[0]
    said = settings_of(client)
    assert client.startswith(f"[{SECTION}]\n")
    assert urlsplit(said["uri"]).path in DOORS
    assert said["protocols"] in asterisk.DIALECT.subprotocols


def test_every_name_in_a_dial_string_is_one_that_is_taken() -> None:
    assert len(dial_strings()) == 2
    for line in dial_strings():
        assert f"WebSocket/{SECTION}/" in line
        names = set(re.findall(r"[(,](\w+)=", line.partition("nv")[2]))
        assert "call_id" in names
        assert names <= IntroductionIn.model_fields.keys()
        formats = re.findall(r"/c\((\w+)\)", line)
        assert set(formats) <= asterisk.FORMATS.keys()


def test_the_page_and_the_simulator_know_all_names_of_an_address() -> None:
    page = (DOCS / PAGE).read_text()
    assert all(f"`{name}`" in page for name in IntroductionIn.model_fields)
    assert {"call_id", "track", *VARIABLES} == IntroductionIn.model_fields.keys()


def test_twilios_stream_leads_to_its_door_with_names_that_are_taken() -> None:
    (twiml,) = blocks(PAGE, "xml")
    (stream,) = ElementTree.fromstring(twiml).iter("Stream")
    assert urlsplit(stream.attrib["url"]).path in DOORS
    names = {one.attrib["name"] for one in stream.iter("Parameter")}
    assert names <= {*FIELDS, "call_id", "api_key"}


def test_every_code_of_a_refusal_stands_in_the_table() -> None:
    rows = [line for line in (DOCS / PAGE).read_text().splitlines() if line.startswith("| ")]
    named = " ".join(rows)
    codes = {*KEY_REFUSED, *KEY_REFUSED.values(), NO_FORMAT, NO_ID, NO_START, TOO_FAST, ARCHIVED}
    assert not [code for code in codes if str(code) not in named]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl was not found: its example is not run")
@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("good", [True, False])
def test_the_upgrade_by_hand_shows_what_the_door_says(
    good: bool, engines: Urls, tmp_path: Path
) -> None:
    *_, upgrade = blocks(PAGE, "sh")
    key = api_key("ingest") if good else "cc_wrong"
    with web(urls=engines, home=tmp_path) as url:
        done = subprocess.run(
            ["bash", "-uc", upgrade],
            env=os.environ | {"URL": url, "KEY": key},
            capture_output=True,
            text=True,
            timeout=30,
        )
    status, *headers = done.stdout.lower().splitlines()
    assert ("101" if good else "401") in status
    assert ("sec-websocket-protocol: media" in headers) == good
    assert good or "this api key is unknown or revoked" in done.stdout.lower()
