"""A web process that is asked to stop leaves nobody without an answer."""

import signal
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
import uvicorn
import websockets.sync.client as client
from websockets.exceptions import ConnectionClosed

from callcenter.draining import PoliteHttp, PoliteSocket
from tests.callcenter.serving import served
from tests.processes import free_port
from tests.waiting import until

DRAIN = 5  # seconds


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers a request; says back what comes through a socket."""
    if scope["type"] == "http":
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


@pytest.fixture
def server(settings: Any) -> Iterator[uvicorn.Server]:
    settings.DRAIN_TIMEOUT = DRAIN
    config = uvicorn.Config(
        app,
        port=free_port(),
        log_config=None,
        lifespan="off",
        http=PoliteHttp,
        ws=PoliteSocket,
        timeout_graceful_shutdown=DRAIN,
    )
    server = uvicorn.Server(config)
    with served(server):
        yield server


def stop(server: uvicorn.Server) -> None:
    server.handle_exit(signal.SIGTERM, None)
    until(lambda: not any(one.is_serving() for one in server.servers), 5)


def test_a_connection_kept_alive_carries_one_more_request(server: uvicorn.Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.config.port)
    connection.request("GET", "/")
    first = connection.getresponse()
    assert (first.read(), first.getheader("connection")) == (b"ok", None)
    kept = connection.sock
    stop(server)
    connection.request("GET", "/")
    assert connection.sock is kept
    last = connection.getresponse()
    assert (last.read(), last.getheader("connection")) == (b"ok", "close")
    with pytest.raises(ConnectionRefusedError):
        HTTPConnection("127.0.0.1", server.config.port).connect()


def test_an_idle_connection_is_closed_soon(server: uvicorn.Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.config.port)
    connection.request("GET", "/")
    connection.getresponse().read()
    began = time.monotonic()
    stop(server)
    assert connection.sock.recv(1) == b""
    assert time.monotonic() - began < DRAIN - 1


def closed(socket: client.ClientConnection) -> int | None:
    """The code with which the server ends it."""
    with pytest.raises(ConnectionClosed) as ending:
        socket.recv(timeout=20)
    received = ending.value.rcvd
    return received.code if received else None


def test_a_pbx_is_heard_when_other_sockets_have_long_gone(server: uvicorn.Server) -> None:
    url = f"ws://127.0.0.1:{server.config.port}"
    with client.connect(f"{url}/ws/board") as page, client.connect(f"{url}/pbx/asterisk") as pbx:
        stop(server)
        assert closed(page) == 1012
        pbx.send("still talking")
        assert pbx.recv(timeout=5) == "still talking"
        assert closed(pbx) == 1012
