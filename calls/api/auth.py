"""Keys of programs: made, shown once, looked up, checked in constant time."""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja.errors import AuthenticationError, AuthorizationError
from ninja.security import APIKeyHeader, HttpBearer

from calls import context
from calls.ingest.batching import Busy, writer
from calls.models import ApiKey
from calls.models.access import Scope
from calls.models.audit import Verb
from calls.records import audit

KEY_SHAPE = re.compile(r"cc_([a-z0-9]{8})_([A-Za-z0-9_-]{32,64})")
PREFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
USED_EVERY = timedelta(minutes=1)  # how exact `last_used_at` is
KEY_KNOWN_FOR = 3.0  # seconds; a revoked key is refused within five
KEY_GOOD_FOR = 3600.0  # seconds, for a call that begins while the database is away
RECALLED_WITHIN = 0.3  # seconds
KEYS_KNOWN = 10_000
UNKNOWN = hashlib.sha256(secrets.token_bytes(32)).hexdigest()


def create_key(
    *,
    name: str,
    scopes: Iterable[str],
    now: datetime,
    rate: int | None = None,
    expires_at: datetime | None = None,
    actor: str = "system",
) -> tuple[ApiKey, str]:
    """A new key and its secret, which is kept nowhere: show it once. Raises ValueError."""
    wanted = sorted(set(scopes))
    if not wanted or not set(wanted) <= set(Scope.values):
        raise ValueError(f"scopes are one or more of {', '.join(Scope.values)}")
    prefix = "".join(secrets.choice(PREFIX_ALPHABET) for _ in range(8))
    secret = f"cc_{prefix}_{secrets.token_urlsafe(32)}"
    digest = _digest(secret)
    with transaction.atomic():
        key = ApiKey.objects.create(
            name=name,
            prefix=prefix,
            digest=digest,
            scopes=wanted,
            rate=rate,
            created_at=now,
            expires_at=expires_at,
        )
        detail = f"{key}: {', '.join(wanted)}"
        audit.record(actor=actor, verb=Verb.KEY_CREATED, detail=detail, now=now)
    return key, secret


def revoke_key(key: ApiKey, *, now: datetime, actor: str) -> None:
    """For good; a key that was revoked before keeps its time."""
    with transaction.atomic():
        if key.revoked_at is None:
            key.revoke(now=now)
            audit.record(actor=actor, verb=Verb.KEY_REVOKED, detail=str(key), now=now)


def find_key(secret: str, *, now: datetime) -> ApiKey | None:
    """The live key with this secret; as slow for an unknown prefix as for a wrong secret."""
    match = KEY_SHAPE.fullmatch(secret)
    key = ApiKey.objects.live(now=now).filter(prefix=match[1]).first() if match else None
    if not hmac.compare_digest(_digest(secret), key.digest if key else UNKNOWN):
        return None
    if key:
        _note_use(key, now=now)
    return key


def secret_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key in the headers of a handshake: `Authorization: Bearer …`, else `X-API-Key`."""
    given = None
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name.lower() == b"authorization" and text[:7].lower() == "bearer ":
            return text[7:].strip()
        if name.lower() == b"x-api-key":
            given = text
    return given


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _note_use(key: ApiKey, *, now: datetime) -> None:
    if key.last_used_at is None or now - key.last_used_at > USED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


def checked(key: ApiKey | None, scope: str) -> ApiKey:
    """The key, if it may do this. Raises ninja's `AuthenticationError` and `AuthorizationError`."""
    if key is None:
        raise AuthenticationError(message="this API key is unknown, revoked or past its time")
    context.note_key(key.prefix)
    if not key.allows(scope):
        raise AuthorizationError(message=f"this API key has no scope {scope}")
    return key


class _Bearer(HttpBearer):
    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> ApiKey:
        return checked(find_key(token, now=timezone.now()), self.scope)


class _Header(APIKeyHeader):
    param_name = "X-API-Key"

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, key: str | None) -> ApiKey | None:
        return checked(find_key(key, now=timezone.now()), self.scope) if key else None


class _LaneBearer(_Bearer):
    async def authenticate(self, request: HttpRequest, token: str) -> ApiKey:  # type: ignore[override]
        return checked(await known_keys.find(token), self.scope)


class _LaneHeader(_Header):
    async def authenticate(  # type: ignore[override]
        self, request: HttpRequest, key: str | None
    ) -> ApiKey | None:
        return checked(await known_keys.find(key), self.scope) if key else None


# ninja's document names each scheme after its class. To whoever reads it there are two, and a key
# that is entered at /docs counts for all addresses.
_Bearer.__name__ = _LaneBearer.__name__ = "Bearer"
_Header.__name__ = _LaneHeader.__name__ = _Header.param_name


def scope(name: Scope) -> list[HttpBearer | APIKeyHeader]:
    """What an endpoint asks of its caller."""
    return [_Bearer(name), _Header(name)]


def lane_scope(name: Scope) -> list[HttpBearer | APIKeyHeader]:
    """The same without a trip to the database for each packet."""
    return [_LaneBearer(name), _LaneHeader(name)]


class KnownKeys:
    """What was found of keys that came lately, kept so shortly that a revoked one is soon out."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, ApiKey | None]] = {}

    async def find(self, secret: str, *, when_away: float = 0.0) -> ApiKey | None:
        """Like `find_key`, for an event loop. Raises `Busy` while the database is away.

        For so many seconds more a key that was good then counts `when_away`.
        """
        digest = _digest(secret)
        until, key = self._found.get(digest, (0.0, None))
        if until > time.monotonic():
            return key
        if not KEY_SHAPE.fullmatch(secret):
            return None
        try:
            key = await writer.run(lambda: find_key(secret, now=timezone.now()))
        except Busy:
            if key and until + when_away > time.monotonic():
                return key
            raise
        if len(self._found) >= KEYS_KNOWN:
            self._found.clear()
        self._found[digest] = (time.monotonic() + KEY_KNOWN_FOR, key)
        return key

    async def recall(self, secret: str) -> ApiKey | None:
        """Like `find`, for callers that must not be kept waiting: while the database is away, or
        slow, a key that was good lately still is. Raises `Busy` where it was not.
        """
        until, known = self._found.get(_digest(secret), (0.0, None))
        if known is None or until + KEY_GOOD_FOR < time.monotonic():
            return await self.find(secret)
        try:
            async with asyncio.timeout(RECALLED_WITHIN):
                return await self.find(secret)
        except (Busy, TimeoutError):
            return known


known_keys = KnownKeys()
