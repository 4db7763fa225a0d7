"""A supervisor's socket that notes when each packet of a call was told: `… watcher URL`.

A process of its own, so that reading does not delay what is measured. The key comes in the
environment as `WATCHER_KEY`. Prints a line once it has its snapshot, and what it saw as JSON when
its standard input ends: by call, packet counts and the times (`time.monotonic`) at which they
were first told.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import websockets

from tests.load.ready import ready

LAST_NEWS = 2.0  # seconds; what is told later than one is late, and noted all the same
Seen = dict[str, list[tuple[int, float]]]


async def watch(url: str, key: str) -> Seen:
    seen: Seen = defaultdict(list)
    ready = asyncio.Event()
    watching = asyncio.create_task(_note_all(url, key, seen, ready))
    await ready.wait()
    print("watching", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    await asyncio.wait([watching], timeout=LAST_NEWS)
    if watching.done():
        raise RuntimeError("the socket was closed")
    return seen


async def _note_all(url: str, key: str, seen: Seen, ready: asyncio.Event) -> None:
    address = f"{url.replace('http', 'ws', 1)}/ws/supervisor"
    headers = {"Authorization": f"Bearer {key}"}
    async with websockets.connect(address, additional_headers=headers, max_size=None) as socket:
        async for message in socket:
            now = time.monotonic()
            said = json.loads(message)
            ready.set()
            news = said.get("calls", [said] if said["type"] == "call_update" else [])
            for update in news:
                told = seen[update["call_id"]]
                if not told or told[-1][0] < update["packet_count"]:
                    told.append((update["packet_count"], now))


class Watcher:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def seen(self) -> Seen:
        output, _ = self._process.communicate(timeout=20)
        assert self._process.returncode == 0, "the watcher failed"
        return {call: [(int(n), at) for n, at in told] for call, told in json.loads(output).items()}


@contextmanager
def watching(url: str, key: str) -> Iterator[Watcher]:
    words = [sys.executable, "-m", "tests.load.watcher", url]
    with ready(words, WATCHER_KEY=key) as process:
        yield Watcher(process)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(watch(sys.argv[1], os.environ["WATCHER_KEY"]))))
