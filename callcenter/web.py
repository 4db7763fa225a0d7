"""The web process, `python -m callcenter.web`: uvicorn with bounds on what a client may hold."""

import asyncio
import logging.config
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from django.conf import settings
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from callcenter.bounded_head import BoundedHead
from callcenter.draining import PoliteHttp, PoliteSocket
from callcenter.frames import SocketProtocol


class OneWrite:
    """A transport that sends what is written at one go, such as head and body of an answer.

    Each write of its own would be a system call, which costs more than writing the answer.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(BoundedHead, PoliteHttp):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, OneWrite(transport)))


class Socket(SocketProtocol, PoliteSocket):
    pass


class Processes(Multiprocess):
    """SIGHUP replaces them one by one, each by one that is ready; their port stays open."""

    def terminate_all(self) -> None:
        # As long as one process has it open, the port takes connections that nobody will answer.
        for socket in self.sockets:
            socket.close()
        super().terminate_all()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    os.environ["CALLCENTER_ROLE"] = "web"
    # For the process that looks after several; each of them does so itself.
    logging.config.dictConfig(settings.LOGGING)
    with _shared_figures():
        _serve()


@contextmanager
def _shared_figures() -> Iterator[None]:
    """A place where several processes count together, gone with the last of them."""
    if settings.WEB_PROCESSES == 1 or os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="callcenter-metrics-") as place:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = place
        yield


def _serve() -> None:
    config = uvicorn.Config(
        "callcenter.asgi:application",
        host=settings.HOST,
        port=settings.PORT,
        workers=settings.WEB_PROCESSES,
        access_log=False,
        # Its messages go where ours go.
        log_config=None,
        log_level="warning",
        http=Protocol,
        ws=Socket,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=settings.DRAIN_TIMEOUT,
        # On a busy machine a process takes its time to get ready.
        timeout_worker_healthcheck=30,
        ws_max_size=65536,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        # The same news goes to many sockets: compressing it for each would hold up the packets.
        ws_per_message_deflate=False,
    )
    if config.workers > 1:
        Processes(config, [config.bind_socket()]).run()
        return
    config.load_app()
    server = uvicorn.Server(config)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
