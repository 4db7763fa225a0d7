"""The packets of a call as they came, in a file: one line of JSON a packet, compressed.

The audio alone would lose what packets of other text held, when each came, and which were late;
base64 that is not strict would be gone without a trace. So an archive keeps all of it: who reads
the lines has the packets as the table had them, byte for byte.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from calls.models import Call, Packet

PAGE = 500  # packets read at once
FIELDS = ("sequence", "track", "timestamp", "received_at", "late", "data")

Row = tuple[Any, ...]


def pages(call: Call) -> Iterator[list[Row]]:
    """The packets of a call in sequence order, as tuples of `FIELDS`."""
    for page in Packet.objects.filter(call=call).pages(*FIELDS[1:], size=PAGE):
        yield [row[1:] for row in page]


class PacketsWriter:
    """Equal packets make equal files: neither a name nor a time stands in the header."""

    def __init__(self, target: BinaryIO) -> None:
        self._file = gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0, compresslevel=6)

    def add(self, page: list[Row]) -> None:
        for row in page:
            line = json.dumps(_plain(row), ensure_ascii=False) + "\n"
            self._file.write(line.encode())

    def close(self) -> None:
        self._file.close()


def _plain(row: Row) -> dict[str, Any]:
    named = dict(zip(FIELDS, row, strict=True))
    return named | {"received_at": named["received_at"].isoformat()}


def read_lines(content: bytes) -> list[dict[str, Any]]:
    """The packets of such a file, each as `FIELDS` name it."""
    return [json.loads(line) for line in gzip.decompress(content).splitlines()]
