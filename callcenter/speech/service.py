"""The service as an ASGI application."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from callcenter.sound.wav import NotAWav, open_wav
from callcenter.speech import canned
from callcenter.speech.body import Body, Disconnected
from callcenter.speech.config import SpeechConfig
from callcenter.speech.objections import unless
from callcenter.speech.pool import RecogniserDied, Recognisers
from callcenter.speech.refusal import Refusal, busy, overloaded
from callcenter.speech.transcription import Transcription, verbose
from callcenter.speech.unreliability import Unreliability
from callcenter.speech.upload import Upload, read_upload, upload_file

METHODS = {"/v1/audio/transcriptions": ("POST",), "/health": ("GET", "HEAD")}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class SpeechService:
    def __init__(self, config: SpeechConfig) -> None:
        self._config = config
        self._unreliability = Unreliability(config)
        self._taken = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self.recognisers = Recognisers(config.recognisers)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            body = Body(receive, self._config.quiet_upload)
            with suppress(Disconnected):
                await _send(send, await self._answer(scope, body))

    def let_go(self) -> None:
        """Answer whoever waits with 503, for we stop; may be called from a signal handler."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _live(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        self._loop = asyncio.get_running_loop()
        if self._config.engine == "pocketsphinx":
            await self.recognisers.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.recognisers.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: HTTPScope, body: Body) -> Answer:
        try:
            _check_method(scope)
            if scope["path"] == "/health":
                return _json(200, self._health())
            return await self._transcription(scope, body)
        except Refusal as refusal:
            await body.drain(self._config.max_upload)
            return _json(refusal.status, refusal.to_json(), refusal.headers)

    def _health(self) -> dict[str, Any]:
        room = self._config.admitted - self._taken
        return {"status": "ok", "engine": self._config.engine, "taken": self._taken, "room": room}

    async def _transcription(self, scope: HTTPScope, body: Body) -> Answer:
        with self._place(), upload_file() as path:
            content_type = _header(scope, b"content-type")
            upload = await read_upload(body, content_type, path, self._config.max_upload)
            upload.check()
            seconds = _length(path)
            work = self._fate_of(path, seconds)
            heard = await unless(work, body.gone(), self._stopped())
        return _formatted(heard, upload)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place in the queue, until the request is answered."""
        if self._taken >= self._config.admitted:
            raise busy(self._config.retry_after)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def _stopped(self) -> NoReturn:
        await self._stopping.wait()
        raise overloaded()

    async def _fate_of(self, path: Path, seconds: float) -> Transcription:
        fate = self._unreliability.fate()
        if fate.fails:
            await asyncio.sleep(fate.seconds)
            raise overloaded()
        clock = asyncio.get_running_loop()
        earliest = clock.time() + fate.seconds
        heard = await self._recognise(path, seconds)
        await asyncio.sleep(earliest - clock.time())
        return heard

    async def _recognise(self, path: Path, seconds: float) -> Transcription:
        if self._config.engine == "canned":
            return canned.transcribe(seconds)
        try:
            return await self.recognisers.transcribe(path)
        except RecogniserDied:
            log.error("a recogniser died twice over one file; it was started again")
            raise overloaded() from None


def _check_method(scope: HTTPScope) -> None:
    allowed = METHODS.get(scope["path"])
    if allowed is None:
        raise Refusal(404, f"There is nothing here; there is {' and '.join(METHODS)}.")
    if scope["method"] not in allowed:
        names = ", ".join(allowed)
        raise Refusal(405, f"Only {names} works here.", headers={"Allow": names})


def _header(scope: HTTPScope, name: bytes) -> str:
    return next((value for key, value in scope["headers"] if key == name), b"").decode("latin-1")


def _length(path: Path) -> float:
    """In seconds. Raises `Refusal` unless the file is a WAV file that we can read."""
    try:
        return open_wav(path).seconds
    except NotAWav as error:
        raise Refusal(400, f"We cannot read the audio: {error}.", "file") from None


def _formatted(heard: Transcription, upload: Upload) -> Answer:
    if upload.format == "text":
        return Answer(200, f"{heard.text}\n".encode(), "text/plain; charset=utf-8")
    if upload.format == "json":
        return _json(200, {"text": heard.text})
    return _json(200, verbose(heard, with_words=upload.wants_words))


def _json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), headers=headers or {})


async def _send(send: ASGISendCallable, answer: Answer) -> None:
    fields = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        **answer.headers,
    }
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": headers,
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
