"""The sockets of the contract: a snapshot on subscribing, then each change as a whole state."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Q
from django.http.request import validate_host
from django.utils import timezone
from pydantic import ValidationError as Invalid

from calls import events
from calls.api.auth import find_key, secret_of
from calls.api.news import Changes, news
from calls.api.schemas.incoming import ClientMessage
from calls.api.sessions import current_user
from calls.api.socket import Socket, in_database
from calls.models import Call
from calls.models.access import Scope
from calls.states import State

UNKNOWN, FORBIDDEN = 4401, 4403
HEARTBEAT = 30.0  # seconds
PAUSE = 0.34  # seconds between updates at least: with a heartbeat, four messages in any second
TRUSTED_FOR = 15.0  # seconds until who listens is asked for anew
SNAPSHOT = 200  # calls
MAX_SUBSCRIPTIONS = 1000
MAX_MESSAGE = 4096  # characters
UNHEARD = 100  # messages kept for a client that does not read


@dataclass(slots=True)
class Subscriptions:
    """What a client wants to hear of."""

    everything: bool = False
    named: set[tuple[str, str]] = field(default_factory=set)

    def wants(self, change: dict[str, str]) -> bool:
        return self.everything or not self.named.isdisjoint(
            (field, change[field]) for field in ("call_id", "queue", "agent")
        )

    def add(self, message: ClientMessage) -> None:
        if message.selector is None:
            self.everything = True
        else:
            self.named.add(message.selector)

    def remove(self, message: ClientMessage) -> None:
        if message.selector is None:
            self.everything = False
            self.named.clear()
        else:
            self.named.discard(message.selector)


class DashboardConsumer(Socket):
    """`/ws/dashboard`: sends what the client subscribes to."""

    subscribed_from_the_start = False

    async def connect(self) -> None:
        self.subscriptions = Subscriptions()
        self.news: asyncio.Queue[Changes] = asyncio.Queue(UNHEARD)
        self.running: list[asyncio.Task[None]] = []
        await self.accept()
        refusal = await refuse(self.scope)
        if refusal:
            await self.close(code=refusal)
            return
        # The news first, then the snapshot: a change between the two is told twice, not never.
        await news().join(self._changed)
        works = (self._beat(), self._pass_on(), self._admit())
        self.running = [asyncio.create_task(work) for work in works]
        if self.subscribed_from_the_start:
            await self._subscribe(ClientMessage(action="subscribe"))

    async def disconnect(self, code: int) -> None:
        await news().leave(self._changed)
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = _parse(text_data)
        except ValueError as error:
            await self._tell({"type": "error", "detail": str(error)})
            return
        if message.action == "ping":
            await self._tell({"type": "pong", "timestamp": _now()})
        elif message.action == "unsubscribe":
            self.subscriptions.remove(message)
        else:
            await self._subscribe(message)

    def _changed(self, changes: Changes) -> None:
        # Who reads too slowly finds a gap before the `previous` of the next update.
        if self.news.full():
            self.news.get_nowait()
        self.news.put_nowait(changes)

    async def _pass_on(self) -> None:
        """Whatever came meanwhile goes together, for each process announces at its own pace."""
        while True:
            changes = await self._heard()
            updates = [c["update"] for c in changes if self.subscriptions.wants(c)]
            if not updates:
                continue
            if len(updates) == 1:
                await self._send(updates[0])
            else:
                await self._send(f'{{"type": "call_updates", "calls": [{", ".join(updates)}]}}')
            await asyncio.sleep(PAUSE)

    async def _heard(self) -> Changes:
        changes = list(await self.news.get())
        while not self.news.empty():
            changes += self.news.get_nowait()
        return changes

    async def _subscribe(self, message: ClientMessage) -> None:
        if len(self.subscriptions.named) >= MAX_SUBSCRIPTIONS:
            detail = f"at most {MAX_SUBSCRIPTIONS} subscriptions a socket; subscribe to all instead"
            await self._tell({"type": "error", "detail": detail})
            return
        self.subscriptions.add(message)
        await self._tell(await in_database(snapshot)(message.selector))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            await self._tell({"type": "heartbeat", "timestamp": _now()})

    async def _admit(self) -> None:
        """Until the key is revoked, or the user logged out, disabled or without the right."""
        refusal = None
        while refusal is None:
            await asyncio.sleep(TRUSTED_FOR)
            with suppress(DatabaseError, InterfaceError):  # nobody can tell while it is away
                refusal = await refuse(self.scope)
        await self.close(code=refusal)

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._send(json.dumps(message))

    async def _send(self, text: str) -> None:
        # A client that is gone is heard of through `disconnect`.
        with suppress(OSError):
            await self.send(text_data=text)


class SupervisorConsumer(DashboardConsumer):
    """`/ws/supervisor`: every call from the start."""

    subscribed_from_the_start = True


async def refuse(scope: Any) -> int | None:
    """The code to close with as things are now: a key needs `read`, a session our own Origin and
    the right.
    """
    secret = secret_of(scope["headers"])
    if secret is not None:
        key = await in_database(find_key)(secret, now=timezone.now())
        if key is None:
            return UNKNOWN
        return None if key.allows(Scope.READ) else FORBIDDEN
    user = await in_database(current_user)(scope["session"].session_key)
    if not user.is_authenticated:
        return UNKNOWN
    if not _from_our_pages(scope["headers"]):
        return FORBIDDEN
    allowed = await in_database(user.has_perm)("calls.view_call")
    return None if allowed else FORBIDDEN


def _from_our_pages(headers: list[tuple[bytes, bytes]]) -> bool:
    """Browsers send a cookie from any page; only those of our own hosts may use it."""
    given = dict(headers)
    origin = urlsplit(given.get(b"origin", b"").decode("latin-1"))
    host = given.get(b"host", b"").decode("latin-1")
    same = origin.netloc.lower() == host.lower()
    return same and validate_host((origin.hostname or "").lower(), settings.ALLOWED_HOSTS)


def snapshot(selector: tuple[str, str] | None) -> dict[str, Any]:
    """The newest calls that are not archived, as they are now."""
    wanted = Q(**dict([selector])) if selector else ~Q(state=State.ARCHIVED)
    calls = Call.objects.filter(wanted).newest_first()
    newest = list(calls.values_list("pk", flat=True)[: SNAPSHOT + 1])
    now = timezone.now()
    return {
        "type": "snapshot",
        "calls": [
            events.describe(call, previous=None, now=now)
            for call in events.read_calls(newest[:SNAPSHOT])
        ],
        "truncated": len(newest) > SNAPSHOT,
    }


def _parse(text: str | None) -> ClientMessage:
    if text is None:
        raise ValueError("expected a text frame with a JSON object")
    if len(text) > MAX_MESSAGE:
        raise ValueError(f"a message has at most {MAX_MESSAGE} characters")
    try:
        return ClientMessage.model_validate_json(text)
    except Invalid as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise ValueError(f"{place}: {first['msg']}") from None


def _now() -> str:
    return timezone.now().isoformat().replace("+00:00", "Z")
