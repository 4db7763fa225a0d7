"""The web process, `python -m callcenter.web`: uvicorn with bounds on what a client may hold."""

import asyncio
import os
from typing import Any, cast

import uvicorn
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


class Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, OneWrite(transport)))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    os.environ["CALLCENTER_ROLE"] = "web"
    uvicorn.run(
        "callcenter.asgi:application",
        host=settings.HOST,
        port=settings.PORT,
        workers=settings.WEB_PROCESSES,
        access_log=False,
        # Its messages go where ours go.
        log_config=None,
        log_level="warning",
        http=Protocol,
        ws=SocketProtocol,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        ws_max_size=65536,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        # The same news goes to many sockets: compressing it for each would hold up the packets.
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main()
