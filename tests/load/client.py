"""An HTTP client that costs little, so that a load test measures the server and not itself."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BROKEN = 0  # the status of a request without an answer


@dataclass
class Figures:
    """What came of a load: seconds to each answer, and how often each status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def note(self, status: int, latency: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(latency)

    @property
    def per_second(self) -> float:
        return self.statuses[202] / self.seconds

    def milliseconds(self, percentile: int) -> float:
        cuts = statistics.quantiles(self.latencies, n=100, method="inclusive")
        return cuts[percentile - 1] * 1000


class Connection(asyncio.Protocol):
    """One request at a time over one connection."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or not self._answer:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._received = b""
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result((BROKEN, b""))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; `BROKEN` when the connection ends before it."""
        if self.transport.is_closing():
            return BROKEN, b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


async def connect(url: str) -> Connection:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    host, port = str(parts.hostname), int(parts.port or 80)
    _, connection = await loop.create_connection(Connection, host, port)
    return connection


def post(path: str, body: bytes, key: str) -> bytes:
    """A request as it stands on the wire."""
    return (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
    ) % (path.encode(), key.encode(), len(body), body)


async def closed_loop(
    url: str, requests: Iterator[bytes], *, connections: int, seconds: float
) -> Figures:
    """Each connection sends its next request when the one before was answered."""
    figures = Figures(seconds)
    end = time.perf_counter() + seconds

    async def run() -> None:
        connection = await connect(url)
        while (began := time.perf_counter()) < end:
            status, _ = await connection.ask(next(requests))
            figures.note(status, time.perf_counter() - began)
        connection.transport.close()

    await asyncio.gather(*(run() for _ in range(connections)))
    return figures


async def open_loop(
    url: str,
    requests: Iterator[bytes],
    *,
    rate: float,
    seconds: float,
    connections: int = 32,
    answered: Callable[[bytes], None] = lambda body: None,
) -> Figures:
    """Requests at fixed times, whatever becomes of those before; `answered` gets each answer.

    Latency counts from the time at which a request was due, so that a server that stalls is not
    spared the requests which would have come meanwhile.
    """
    figures = Figures(seconds)
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await connect(url))

    async def send(due: float, request: bytes) -> None:
        connection = await free.get()
        status, body = await connection.ask(request)
        figures.note(status, time.perf_counter() - due)
        answered(body)
        free.put_nowait(connection if status else await connect(url))

    await _at_times(lambda due: send(due, next(requests)), rate=rate, seconds=seconds)
    return figures


async def _at_times(
    send: Callable[[float], Coroutine[None, None, None]], *, rate: float, seconds: float
) -> None:
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(send(due))
