"""Open sockets that hear of every call: `python -m tests.load.listeners URL NUMBER`.

A process of its own, so that reading them does not delay the requests whose latency is measured.
The key comes in the environment as `LISTENER_KEY`. Prints a line once all sockets have their
snapshot, and how many messages were heard when its standard input ends.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Iterator

import websockets


async def listen(url: str, key: str, number: int) -> int:
    """Messages heard on all sockets together until standard input ends."""
    heard = itertools.count()
    ready = [asyncio.Event() for _ in range(number)]
    tasks = [asyncio.create_task(_hear(url, key, heard, event)) for event in ready]
    await asyncio.gather(*(event.wait() for event in ready))
    print("all have their snapshot", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    broken = [task for task in tasks if task.done()]
    if broken:
        raise RuntimeError(f"{len(broken)} sockets were closed")
    return next(heard)


async def _hear(url: str, key: str, heard: Iterator[int], ready: asyncio.Event) -> None:
    address = f"{url.replace('http', 'ws')}/ws/supervisor"
    headers = {"Authorization": f"Bearer {key}"}
    async with websockets.connect(address, additional_headers=headers, max_size=None) as socket:
        async for _ in socket:
            ready.set()
            next(heard)


if __name__ == "__main__":
    print(asyncio.run(listen(sys.argv[1], os.environ["LISTENER_KEY"], int(sys.argv[2]))))
