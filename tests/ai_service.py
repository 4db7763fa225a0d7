"""An AI service that behaves as badly as it is told: the outside world of the tests."""

import asyncio
import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ANSWER = {
    "text": "thank you for calling",
    "segments": [{"start": 0.0, "end": 1.0, "text": "thank you for calling", "avg_logprob": -0.1}],
}


@dataclass
class AiService:
    """Answers what `script` says, one a request, then `always`, by chance, or with success."""

    url: str = ""
    script: list[tuple[int, dict[str, str], object]] = field(default_factory=list)
    always: tuple[int, dict[str, str], object] | None = None
    failure: float = 0.0
    latency: float = 0.0
    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hold.set()
        self._random = random.Random(12)

    async def answer(self, body: bytes) -> tuple[int, dict[str, str], object]:
        self.requests += 1
        self.bodies.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            while not self.hold.is_set():
                await asyncio.sleep(0.01)
            await asyncio.sleep(self.latency)
            if self.script:
                return self.script.pop(0)
            if self.always:
                return self.always
            if self._random.random() < self.failure:
                return 503, {}, {"error": {"message": "try again"}}
            return 200, {}, ANSWER
        finally:
            self.in_flight -= 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                status, headers, said = await self.answer(body)
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                rows = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
                rows += [f"{name}: {value}" for name, value in headers.items()]
                writer.write("\r\n".join(rows).encode() + b"\r\n\r\n" + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def ai_service(**options: float) -> Iterator[AiService]:
    """Serves from a thread for as long as the block lasts."""
    service = AiService(**options)  # type: ignore[arg-type]
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncio.start_server(service.serve, "127.0.0.1", 0, backlog=512)
    )
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.hold.set()
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    """Within the loop, for a server may not be closed from another thread."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
