"""Twilio's signature of a request: who has our auth token asked for exactly this address."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Any

PORT = re.compile(rb":\d+\Z")


def is_signed(scope: Any, token: str) -> bool:
    """Whether `X-Twilio-Signature` fits the address as the client saw it.

    Proxies change scheme and host. What the headers say of them needs no trust here: without the
    token nobody can sign any address.
    """
    headers = {name.lower(): value for name, value in scope["headers"]}
    given = headers.get(b"x-twilio-signature", b"")
    fitting = [
        hmac.compare_digest(given, _signature(url, token)) for url in _addresses(scope, headers)
    ]
    return True in fitting


def _addresses(scope: Any, headers: dict[bytes, bytes]) -> Iterator[bytes]:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    rest = path + (b"?" + query if query else b"")
    for host in _hosts(headers):
        yield b"wss://" + host + rest
        yield b"ws://" + host + rest


def _hosts(headers: dict[bytes, bytes]) -> set[bytes]:
    """As given, and without and with a port: which of them is signed has changed with time."""
    given = (headers.get(name, b"") for name in (b"host", b"x-forwarded-host"))
    named = {value.split(b",")[0].strip() for value in given} - {b""}
    bare = {PORT.sub(b"", name) for name in named}
    return named | bare | {name + b":443" for name in bare}


def _signature(url: bytes, token: str) -> bytes:
    return base64.b64encode(hmac.new(token.encode(), url, hashlib.sha1).digest())
