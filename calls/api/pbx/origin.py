"""Where a socket came from, for the log."""

from ipaddress import ip_address
from typing import Any

from django.conf import settings

FORWARDED = b"x-forwarded-for"


def origin(scope: Any) -> str:
    """As far as the proxies that we trust can tell."""
    peer = str((scope.get("client") or ["?"])[0])
    given = b",".join(value for name, value in scope["headers"] if name.lower() == FORWARDED)
    told = [*given.decode("latin-1").split(","), peer][-1 - settings.TRUSTED_PROXIES :]
    try:
        return str(ip_address(told[0].strip()))
    except ValueError:
        return peer
