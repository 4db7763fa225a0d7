"""Open sockets that hear of every call: `python -m tests.load.listeners URL NUMBER [--deaf]`.

A process of its own, so that reading them does not delay the requests whose latency is measured.
The environment has `LISTENER_KEY` for `/ws/supervisor`, or `LISTENER_SESSION` for `/ws/board`.
Prints a line once all sockets have their snapshot. The first line of its standard input, or its
end, ends the listening; what follows may say when each packet was acknowledged, as
`{call: [time of the first, of the second, …]}`. Then it prints what was heard, as JSON. Deaf ones
take the handshake and never read.
"""

import argparse
import asyncio
import bisect
import json
import os
import re
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import websockets

SMALL = 4096  # bytes; the kernel must not read in place of a deaf one
ROW = re.compile(r'data-label="Packets" class="number">(\d+)')


@dataclass
class Heard:
    """What came over one socket, and when (seconds since the epoch)."""

    messages: list[tuple[float, str]] = field(default_factory=list)
    snapshot: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def most_in_a_second(self) -> int:
        """Without the snapshot."""
        times = [at for at, _ in self.messages[1:]]
        return max((bisect.bisect(times, at + 1) - n for n, at in enumerate(times)), default=0)

    def delays(self, acknowledged: Mapping[str, list[float]]) -> Iterator[float]:
        """Seconds from the acknowledgement of a packet until this socket counted it.

        Only calls that were on the page, and only up to what it told of them at last.
        """
        counted: dict[str, int] = {}
        for at, text in self.messages:
            for call, packets in counts(text):
                before = counted.get(call)
                counted[call] = packets
                if before is not None:
                    yield from (at - then for then in acknowledged.get(call, [])[before:packets])


def counts(text: str) -> Iterator[tuple[str, int]]:
    """The calls that a message tells of, with their packets."""
    message = json.loads(text)
    for update in message.get("calls", [message] if "call_id" in message else []):
        yield update["call_id"], update["packet_count"]
    for element, markup in message.get("rows", {}).items():
        kind, _, call = element.partition(":")
        if kind == "call" and (found := ROW.search(markup)):
            yield call, int(found[1])


async def listen(url: str, number: int, *, deaf: bool) -> list[Heard]:
    """What each socket heard."""
    sockets = [Heard() for _ in range(number)]
    tasks = [asyncio.create_task(_stand(url) if deaf else _hear(url, heard)) for heard in sockets]
    if not deaf:
        await asyncio.gather(*(heard.snapshot.wait() for heard in sockets))
    print("all have their snapshot", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.readline)
    broken = [task for task in tasks if task.done()]
    if broken and not deaf:
        raise RuntimeError(f"{len(broken)} sockets were closed")
    return sockets


async def _hear(url: str, heard: Heard) -> None:
    address, headers = _door(url)
    async with websockets.connect(address, additional_headers=headers, max_size=None) as connected:
        async for text in connected:
            heard.messages.append((time.time(), str(text)))
            heard.snapshot.set()
            if "LISTENER_SESSION" in os.environ:
                await connected.send(json.dumps({"ack": json.loads(text)["n"]}))


async def _stand(url: str) -> None:
    address, headers = _door(url)
    parts = urlsplit(address)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    line.connect((parts.hostname, parts.port))
    async with websockets.connect(address, sock=line, additional_headers=headers) as connected:
        connected.transport.pause_reading()
        await asyncio.Event().wait()


def _door(url: str) -> tuple[str, dict[str, str]]:
    base = url.replace("http", "ws")
    if session := os.environ.get("LISTENER_SESSION"):
        return f"{base}/ws/board", {"Cookie": f"sessionid={session}", "Origin": url}
    return f"{base}/ws/supervisor", {"Authorization": f"Bearer {os.environ['LISTENER_KEY']}"}


def report(sockets: list[Heard], acknowledged: Mapping[str, list[float]]) -> dict[str, object]:
    delays = sorted(delay for heard in sockets for delay in heard.delays(acknowledged))
    cuts = statistics.quantiles(delays, n=100) if len(delays) > 1 else []
    return {
        "messages": sum(len(heard.messages) for heard in sockets),
        "most_in_a_second": max((heard.most_in_a_second for heard in sockets), default=0),
        "changes": len(delays),
        "delay_p50": cuts and cuts[49],
        "delay_p95": cuts and cuts[94],
        "delay_max": delays and delays[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("number", type=int)
    parser.add_argument("--deaf", action="store_true")
    options = parser.parse_args()
    sockets = asyncio.run(listen(options.url, options.number, deaf=options.deaf))
    print(json.dumps(report(sockets, json.loads(sys.stdin.buffer.read() or b"{}"))))


if __name__ == "__main__":
    main()
