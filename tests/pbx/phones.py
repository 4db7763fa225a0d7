"""Asterisk at the other end of a real socket."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

MEDIA = [Subprotocol("media")]


@contextmanager
def asterisk(url: str, query: str, key: str) -> Iterator[ClientConnection]:
    basic = base64.b64encode(f"pbx:{key}".encode()).decode()
    with connect(
        f"ws{url.removeprefix('http')}/pbx/asterisk?{query}",
        subprotocols=MEDIA,
        additional_headers={"Authorization": f"Basic {basic}"},
        compression=None,
    ) as socket:
        yield socket
