"""One packet over HTTP."""

from typing import Any

import pytest
from django.test import Client

from calls.models import Packet
from tests.factories import SPEECHLESS, api_key, fresh_id

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Client:
    return Client(headers={"authorization": f"Bearer {api_key()}"})


def packet(sequence: object = 0, **fields: object) -> dict[str, Any]:
    return {"sequence": sequence, "data": SPEECHLESS, "timestamp": 1_706_745_600.5} | fields


def post(client: Client, call_id: str, body: object) -> Any:
    return client.post(f"/v1/call/stream/{call_id}", body, content_type="application/json")


def test_an_accepted_packet_is_stored_as_it_came(client: Client) -> None:
    call_id = fresh_id()
    answer = post(client, call_id, packet(0))
    assert answer.status_code == 202, answer.content
    said = answer.json()
    assert said.pop("received_at").endswith("Z")
    assert said.pop("response_time_ms") > 0
    assert said == {
        "status": "accepted",
        "call_id": call_id,
        "sequence": 0,
        "message": None,
        "duplicate": False,
        "next_sequence": 1,
        "missing": 0,
    }
    stored = Packet.objects.get(call__call_id=call_id)
    assert (stored.sequence, stored.data, stored.timestamp, stored.track, stored.late) == (
        0, SPEECHLESS, 1_706_745_600.5, "inbound", False,
    )  # fmt: skip


def test_a_double_is_acknowledged_and_not_stored_again(client: Client) -> None:
    call_id = fresh_id()
    post(client, call_id, packet(0))
    answer = post(client, call_id, packet(0, data="other"))
    assert answer.status_code == 202
    assert answer.json()["duplicate"] is True
    assert Packet.objects.get(call__call_id=call_id).data == SPEECHLESS
    assert client.get(f"/v1/call/{call_id}/status").json()["duplicates"] == 1


def test_the_answer_tells_what_is_missing(client: Client) -> None:
    call_id = fresh_id()
    post(client, call_id, packet(0))
    said = post(client, call_id, packet(5)).json()
    assert (said["next_sequence"], said["missing"]) == (6, 4)
    assert client.get(f"/v1/call/{call_id}").json()["missing_ranges"] == [[1, 4]]
