"""uvicorn's HTTP with a bound on what comes before the body, which its parser keeps in memory."""

import json
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST: Final = 64 * 1024  # bytes of request line and headers, give or take one read
REASONS: Final = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class BoundedHead(HttpToolsProtocol):
    """Answers in JSON what cannot be read, or is too long to be."""

    _in_head = False
    _head = 0

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
            if self._head > MOST:
                self._refuse(431, f"the address and the headers are too long: {MOST} bytes at most")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "this is not a request that can be read")

    def _refuse(self, status: int, detail: str) -> None:
        body = json.dumps({"detail": detail}).encode()
        head = b"HTTP/1.1 %d %b\r\nconnection: close\r\ncontent-type: application/json\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(head % (status, REASONS[status]) + length + body)
        self.transport.close()
