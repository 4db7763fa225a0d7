"""Who may come in: by an API key, by a signature, or as a stranger who has yet to name a key."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from calls.api.auth import known_keys
from calls.api.pbx.introduction import introduction
from calls.api.pbx.signature import is_signed
from calls.api.schemas.incoming import IntroductionIn
from calls.ingest.batching import Busy
from calls.ingest.dialect import Dialect
from calls.models import ApiKey
from calls.models.access import Scope

ASK_FOR_KEY = {"www-authenticate": 'Basic realm="pbx"'}


class Refused(Exception):
    """An upgrade that is refused, with a status and words for whoever set up the PBX."""

    def __init__(self, status: int, words: str, **headers: str) -> None:
        super().__init__(words)
        self.status, self.words, self.headers = status, words, headers


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is known of a socket when it is let in."""

    key: ApiKey | None = None
    is_stranger: bool = False
    introduction: IntroductionIn = field(default_factory=IntroductionIn)
    subprotocol: str | None = None


async def by_password(scope: Any, dialect: Dialect) -> Admitted:
    """Basic authentication, the only one that Asterisk has. Raises `Refused`."""
    subprotocol = _subprotocol(scope["subprotocols"], dialect)
    key = await checked_key(_password(scope["headers"]))
    try:
        said = introduction(scope["query_string"])
    except ValueError as error:
        raise Refused(422, str(error)) from None
    return Admitted(key, introduction=said, subprotocol=subprotocol)


async def by_signature(scope: Any, dialect: Dialect) -> Admitted:
    """Where no auth token is set, a key comes with the first words. Raises `Refused`."""
    if not settings.TWILIO_AUTH_TOKEN:
        return Admitted(is_stranger=True)
    if not is_signed(scope, settings.TWILIO_AUTH_TOKEN):
        words = "X-Twilio-Signature is missing or does not fit this address and TWILIO_AUTH_TOKEN"
        raise Refused(403, words)
    return Admitted()


async def checked_key(secret: str) -> ApiKey:
    """Raises `Refused`."""
    if not secret:
        raise Refused(401, "an API key is missing", **ASK_FOR_KEY)
    try:
        key = await known_keys.recall(secret)
    except Busy:
        words = "the database is away, and this API key was not seen lately"
        raise Refused(503, words, **{"retry-after": "2"}) from None
    if key is None:
        raise Refused(401, "this API key is unknown or revoked", **ASK_FOR_KEY)
    if not key.allows(Scope.INGEST):
        raise Refused(403, f"the API key {key.prefix} has no scope {Scope.INGEST.value}")
    return key


def _subprotocol(offered: list[str], dialect: Dialect) -> str | None:
    if not offered:
        return None
    common = [name for name in offered if name in dialect.subprotocols]
    if not common:
        known = ", ".join(dialect.subprotocols)
        raise Refused(400, f"none of the sub-protocols asked for is known: {known}, or none, is")
    return common[0]


def _password(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        kind, _, credentials = value.partition(b" ")
        if name.lower() == b"authorization" and kind.lower() == b"basic":
            try:
                return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                return ""
    return ""
