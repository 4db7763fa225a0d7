"""What a web process does at its end, when nothing is under way any more."""

import asyncio

from callcenter.limits import Message, Receive, Send
from calls import events


async def lifespan(scope: Message, receive: Receive, send: Send) -> None:
    """What was committed is told before the process goes."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await asyncio.to_thread(events.settle, within=2)
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "lifespan.startup.complete"})
