"""One socket of a PBX that was let in: what it says goes to its session, what is to be told to it
comes from here.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any

from calls.api.pbx.admission import Admitted, Refused, checked_key
from calls.api.pbx.extension import FRAMES
from calls.api.pbx.introduction import described, fields_of, valid_id
from calls.api.pbx.places import Places
from calls.ingest.carrier import carrier
from calls.ingest.dialect import Dialect, Start
from calls.ingest.media import TELEPHONE, Media
from calls.ingest.session import NORMAL, Call, Session
from calls.models import ApiKey

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NO_CODE = 1005
NO_START, NO_FORMAT, NO_ID = 4408, 4415, 4422
AWAY = 503
KEY_REFUSED = {401: 4401, 403: 4403, 429: 4429, AWAY: 4503}
START_WITHIN = 20.0  # seconds
KEY_WITHIN = 30.0  # seconds
STRANGER = 512 * 1024  # bytes that are kept for a socket that nobody knows yet


class Conversation:
    def __init__(
        self, dialect: Dialect, admitted: Admitted, origin: str, places: Places, send: Send
    ) -> None:
        self._admitted, self._places, self._send = admitted, places, send
        self.key = admitted.key
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = Session(
            dialect,
            origin,
            carrier().room,
            carrier().tell,
            on_start=lambda start: self._later(self._begin(start)),
            on_close=lambda code, words: self._later(self._close(code, words)),
        )
        if admitted.is_stranger:
            self._session.early_room = STRANGER

    async def hold(self, scope: Any, receive: Receive) -> int:
        """Until the socket is closed; with which code."""
        carrier().join(self._session)
        if hand_over := scope.get("extensions", {}).get(FRAMES):
            hand_over(self._session.frame)
        await self._tell(type="websocket.accept", subprotocol=self._admitted.subprotocol)
        expiry = asyncio.get_running_loop().call_later(START_WITHIN, self._check_start)
        try:
            code = await self._listen(receive)
            # A place is taken for the key that is found meanwhile: none after the last was left.
            await asyncio.gather(*self._tasks, return_exceptions=True)
            return code
        finally:
            expiry.cancel()

    async def part(self, code: int) -> None:
        """Stays until all is stored, so that a server that stops waits for it."""
        session = self._session
        if session.has_early_audio:
            self._begin_without_start()
        session.over(in_order=code == NORMAL)
        if not session.is_refused:
            words = f"the connection was lost ({code})" if session.is_lost else "the PBX hung up"
            log.info("%s: %s", session, words)
        await session.settled.wait()

    async def _listen(self, receive: Receive) -> int:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return _code(message)
            data = message.get("bytes")
            self._session.frame(message["text"] if data is None else data)

    # What call it is -------------------------------------------------------------------------

    async def _begin(self, start: Start) -> None:
        session, said = self._session, dict(start.said)
        if session.call is not None:
            return
        secret = said.pop("api_key", "")
        if start.media is None:
            session.refuse(NO_FORMAT, f"the format {start.format!r} is none that is known here")
            return
        if self._admitted.is_stranger:
            try:
                await self._introduce(secret)
            except Refused as refusal:
                session.refuse(KEY_REFUSED[refusal.status], refusal.words)
                return
        asked = said.pop("call_id", "")
        given = self._admitted.introduction.call_id or valid_id(asked)
        if asked and not given:
            log.warning("%s: its call_id cannot be one, and the PBX's own serves", session)
        call_id = given or valid_id(start.call_id)
        if call_id is None:
            session.refuse(NO_ID, "no call_id is given, and the PBX's own cannot be one")
            return
        self._begin_as(call_id, start.media, described(said, call_id), start)
        if start.reply:
            await self._tell(type="websocket.send", text=start.reply)

    async def _introduce(self, secret: str) -> None:
        """From here on the socket counts for its key. Raises `Refused`."""
        key = await _patiently_checked(secret)
        self._places.take(key)
        self._places.leave(self.key)
        self.key = key

    def _begin_as(
        self, call_id: str, media: Media, said: dict[str, Any], start: Start | None = None
    ) -> None:
        channel, introduction = start.channel if start else "", self._admitted.introduction
        call = Call(
            call_id=call_id,
            channel=channel if channel.isprintable() else "",
            media=media,
            said=said | fields_of(introduction),
            tracks=(start and start.tracks) or (introduction.track,),
            key=self.key.pk if self.key else None,
        )
        self._session.begin(call)
        log.info("%s: begins, %s, %s", self._session, "+".join(call.tracks), _name(self.key))

    def _begin_without_start(self) -> None:
        """Audio of a call that is known by its address alone is taken for what is usual."""
        call_id = self._admitted.introduction.call_id
        if call_id is None:
            log.warning("%s: what came is thrown away, nobody said of what call", self._session)
        else:
            self._begin_as(call_id, TELEPHONE, {})
            log.warning("%s: no start came, its audio is taken for µ-law", self._session)

    def _check_start(self) -> None:
        session = self._session
        if session.call is None and session.has_early_audio and self._admitted.introduction.call_id:
            self._begin_without_start()
        elif not session.is_started:
            session.refuse(NO_START, f"nobody said within {START_WITHIN:g} s what call this is")

    # What the PBX is told --------------------------------------------------------------------

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self, code: int, words: str) -> None:
        reason = words.encode()[:120].decode(errors="ignore")
        await self._tell(type="websocket.close", code=code, reason=reason)

    async def _tell(self, **message: object) -> None:
        # A PBX that is gone, or was refused meanwhile, is heard of by `_listen`.
        with suppress(OSError, RuntimeError):
            await self._send(message)


def _code(message: MutableMapping[str, Any]) -> int:
    """A close without a code is as good as one; of a connection that broke there is no reason."""
    code = int(message.get("code") or NO_CODE)
    return NORMAL if code == NO_CODE and "reason" in message else code


async def _patiently_checked(secret: str) -> ApiKey:
    """Waits for a database that is away: this PBX would not dial again. Raises `Refused`."""
    deadline = time.monotonic() + KEY_WITHIN
    while True:
        try:
            return await checked_key(secret)
        except Refused as refusal:
            if refusal.status != AWAY or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.3)


def _name(key: ApiKey | None) -> str:
    return f"key {key}" if key else "signed"
