"""The recognisers: a fixed number of processes, each with one file at a time."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from callcenter.speech.transcription import Transcription

ROOT = Path(__file__).resolve().parents[2]
CHILD = (sys.executable, "-m", "callcenter.speech.child")
MAX_ANSWER = 64 * 1024 * 1024  # bytes


class RecogniserDied(Exception):
    """The process ended before it answered."""


class RecogniserProcess:
    """Started when it is first needed, and again when it died."""

    def __init__(self) -> None:
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *CHILD,
                stdin=PIPE,
                stdout=PIPE,
                limit=MAX_ANSWER,
                cwd=ROOT,
                # Out of reach of Ctrl-C: the service ends its recognisers when it has done.
                start_new_session=True,
            )
        return self._process

    async def transcribe(self, path: Path) -> Transcription:
        """Raises `RecogniserDied`. Given up or cancelled, the process is killed."""
        process = await self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(str(path)).encode() + b"\n")
            await process.stdin.drain()
            return Transcription.from_json(json.loads(await process.stdout.readline()))
        except (ConnectionError, ValueError):
            await self.kill()
            raise RecogniserDied from None
        except asyncio.CancelledError:
            await self.kill()
            raise

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process and process.returncode is None:
            process.kill()
            await process.wait()


class Recognisers:
    def __init__(self, count: int) -> None:
        self._all = [RecogniserProcess() for _ in range(count)]
        self._idle: asyncio.Queue[RecogniserProcess] = asyncio.Queue()
        for recogniser in self._all:
            self._idle.put_nowait(recogniser)

    @property
    def pids(self) -> list[int]:
        return [recogniser.pid for recogniser in self._all if recogniser.pid]

    async def start(self) -> None:
        """Load the models before the first request needs them."""
        await asyncio.gather(*(recogniser.start() for recogniser in self._all))

    async def transcribe(self, path: Path) -> Transcription:
        """First come, first served. Raises `RecogniserDied` when it died twice."""
        recogniser = await self._idle.get()
        try:
            try:
                return await recogniser.transcribe(path)
            except RecogniserDied:
                return await recogniser.transcribe(path)
        finally:
            self._idle.put_nowait(recogniser)

    async def stop(self) -> None:
        await asyncio.gather(*(recogniser.kill() for recogniser in self._all))
