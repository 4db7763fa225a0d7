"""The edge proxy before a real web process: what passes, what does not, what is said of it."""

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import websockets
from asgiref.sync import sync_to_async
from axes.models import AccessAttempt
from django.contrib.auth.models import User

from callcenter.embedded.engines import Urls
from calls.models import Packet
from tests.deploy.edge import Edge, edge
from tests.factories import SPEECHLESS, api_key
from tests.processes import free_port, web
from tests.waiting import until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

MIB = 1024 * 1024
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def front(
    engines: Urls, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    """The edge before one web process that trusts it."""
    home = tmp_path_factory.mktemp("edge")
    with web(urls=engines, home=home, TRUSTED_PROXIES="1") as url, edge(home, url) as found:
        yield found


@pytest.fixture
def client(front: Edge) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=front.url, verify=front.trust, trust_env=False) as found:
        yield found


@pytest.fixture
def plain(front: Edge) -> Iterator[httpx.Client]:
    address = f"http://127.0.0.1:{front.plain_port}"
    with httpx.Client(base_url=address, trust_env=False) as found:
        yield found


@pytest.fixture
def key() -> dict[str, str]:
    return {"X-API-Key": api_key()}


def packet(sequence: int, data: str = SPEECHLESS) -> dict[str, object]:
    return {"sequence": sequence, "data": data, "timestamp": 1_706_745_600.0 + sequence}


@contextmanager
def dying() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that takes requests and hangs up, and what it took."""
    taken: list[bytes] = []

    class Dies(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            taken.append(self.request.recv(65536))

    with socketserver.TCPServer(("127.0.0.1", 0), Dies) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", taken
        server.shutdown()
        thread.join()


def sign_in(client: httpx.Client, password: str, **headers: str) -> httpx.Response:
    client.get("/login/")
    form = {
        "username": "anna",
        "password": password,
        "csrfmiddlewaretoken": client.cookies["csrftoken"],
    }
    return client.post("/login/", data=form, headers={"Referer": f"{client.base_url}/"} | headers)


def test_a_packet_passes(client: httpx.Client, key: dict[str, str]) -> None:
    answer = client.post("/v1/call/stream/e-1", json=packet(0), headers=key)
    assert (answer.status_code, answer.json()["next_sequence"]) == (202, 1)


def test_sixteen_mebibytes_in_bulk_pass_and_one_byte_more_does_not(
    client: httpx.Client, key: dict[str, str]
) -> None:
    lines = [json.dumps({"call_id": "e-2", **packet(n, "x" * 65_000)}) for n in range(250)]
    body = "\n".join(lines).encode()
    body += b"\n" * (16 * MIB - len(body))
    ndjson = key | {"Content-Type": "application/x-ndjson"}
    answer = client.post("/v1/packets", content=body, headers=ndjson, timeout=30)
    assert answer.json() == {"accepted": 250, "duplicates": 0, "rejected": []}
    assert Packet.objects.filter(call__call_id="e-2").count() == 250
    refused = client.post("/v1/packets", content=body + b"\n", headers=ndjson, timeout=30)
    assert (refused.status_code, "too large" in refused.json()["detail"]) == (413, True)


def test_a_body_too_large_for_one_packet_is_refused_as_json(
    client: httpx.Client, key: dict[str, str]
) -> None:
    answer = client.post("/v1/call/stream/e-3", content=b"x" * (MIB + 1), headers=key)
    assert (answer.status_code, "too large" in answer.json()["detail"]) == (413, True)


def test_a_header_too_long_is_refused_as_json(client: httpx.Client) -> None:
    answer = client.get("/v1/stats", headers={"X-API-Key": "x" * 40_000})
    assert (answer.status_code, "cannot be read" in answer.json()["detail"]) == (400, True)


def test_plain_http_on_the_port_of_https_is_refused_as_json(front: Edge) -> None:
    answer = httpx.get(f"http://localhost:{front.port}/v1/stats", trust_env=False)
    assert (answer.status_code, "cannot be read" in answer.json()["detail"]) == (400, True)


async def test_a_socket_lives(front: Edge, key: dict[str, str]) -> None:
    address = f"wss://localhost:{front.port}/ws/dashboard"
    async with websockets.connect(address, ssl=front.trust, additional_headers=key) as socket:
        await socket.send('{"action": "subscribe", "call_id": "e-4"}')
        assert json.loads(await socket.recv())["type"] == "snapshot"
        async with httpx.AsyncClient(verify=front.trust, trust_env=False) as client:
            url = f"{front.url}/v1/call/stream/e-4"
            assert (await client.post(url, json=packet(0), headers=key)).status_code == 202
        heard = json.loads(await asyncio.wait_for(socket.recv(), 10))
        assert (heard["type"], heard["call_id"]) == ("call_update", "e-4")


def test_people_sign_in_with_cookies_that_never_leave_https(client: httpx.Client) -> None:
    User.objects.create_user("anna", password=PASSWORD)
    answer = sign_in(client, PASSWORD)
    assert answer.status_code == 302, answer.text
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("; Secure" in cookie and "; HttpOnly" in cookie for cookie in cookies)
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


def test_what_a_client_says_of_its_own_address_is_not_believed(client: httpx.Client) -> None:
    sign_in(client, "wrong", **{"X-Forwarded-For": "203.0.113.9"})
    assert [attempt.ip_address for attempt in AccessAttempt.objects.all()] == ["127.0.0.1"]


async def test_a_page_of_ours_may_open_a_socket_and_a_page_of_others_may_not(
    front: Edge, client: httpx.Client
) -> None:
    await sync_to_async(User.objects.create_superuser)("anna", password=PASSWORD)
    sign_in(client, PASSWORD)
    address = f"wss://localhost:{front.port}/ws/supervisor"
    cookie = {"Cookie": f"sessionid={client.cookies['sessionid']}"}
    for origin, opens in ((front.url, True), ("https://evil.example", False)):
        async with websockets.connect(
            address,
            ssl=front.trust,
            additional_headers=cookie,
            origin=websockets.Origin(origin),
        ) as socket:
            if opens:
                assert json.loads(await socket.recv())["type"] == "snapshot"
            else:
                with pytest.raises(websockets.ConnectionClosed) as refused:
                    await socket.recv()
                assert refused.value.rcvd is not None
                assert refused.value.rcvd.code == 4403


def test_numbers_are_not_shown_outside(client: httpx.Client, key: dict[str, str]) -> None:
    answer = client.get("/metrics", headers=key)
    assert (answer.status_code, "nothing at this address" in answer.json()["detail"]) == (404, True)


def test_health_is(client: httpx.Client) -> None:
    assert client.get("/health").json()["status"] == "ok"


def test_the_page_of_the_api_and_its_style_pass(client: httpx.Client) -> None:
    assert client.get("/docs").status_code == 200
    style = client.get("/static/dashboard/style.css")
    assert style.headers["content-encoding"] == "gzip"


def test_plain_http_leads_to_https(plain: httpx.Client) -> None:
    answer = plain.get("/calls/a-1/?t=3", headers={"Host": "calls.example.com"})
    assert answer.status_code == 308
    assert answer.headers["location"] == "https://calls.example.com/calls/a-1/?t=3"


def test_a_key_sent_in_the_clear_is_answered_with_a_warning(
    plain: httpx.Client, key: dict[str, str]
) -> None:
    answer = plain.post("/v1/call/stream/e-5", json=packet(0), headers=key)
    assert (answer.status_code, "HTTPS only" in answer.json()["detail"]) == (403, True)


def test_what_people_searched_for_is_in_no_log(front: Edge, client: httpx.Client) -> None:
    client.get("/?q=overdrawn")
    until(lambda: '"path":"/"' in front.log.read_text(), 5, "the line of the request")
    assert "overdrawn" not in front.log.read_text()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of an edge that has no web process behind it."""
    with (
        edge(tmp_path_factory.mktemp("alone"), f"http://127.0.0.1:{free_port()}") as front,
        httpx.Client(base_url=front.url, verify=front.trust, trust_env=False) as found,
    ):
        yield found


def test_while_no_web_process_answers_programs_are_told_when_to_come_again(
    alone: httpx.Client,
) -> None:
    answer = alone.post("/v1/call/stream/e-6", json=packet(0))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "come again" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_guessing_at_passwords_is_slowed_down_and_reading_is_not(
    alone: httpx.Client, path: str
) -> None:
    statuses = [alone.post(path).status_code for _ in range(60)]
    assert statuses.count(429) > 20
    assert alone.get(path).status_code == 503


def test_a_packet_that_dies_with_its_web_process_goes_to_another(
    engines: Urls, tmp_path: Path, key: dict[str, str]
) -> None:
    with (
        dying() as (gone, taken),
        web(urls=engines, home=tmp_path) as url,
        edge(tmp_path, gone, url) as front,
        httpx.Client(base_url=front.url, verify=front.trust, trust_env=False) as client,
    ):
        path = "/v1/call/stream/e-7"
        sent = [client.post(path, json=packet(n), headers=key) for n in range(10)]
    assert {answer.status_code for answer in sent} == {202}
    assert taken
