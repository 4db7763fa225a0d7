"""Who tries to sign in from where, and what is said to those who tried too often."""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

LONGEST = 150
HOUSEHOLD = 64  # bits; whoever has one IPv6 address has all that begin with these


def address(request: HttpRequest) -> str | None:
    """Where the request came from, as far as the proxies that we trust can tell."""
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    peer = request.META.get("REMOTE_ADDR", "")
    told = [*hops, peer][-1 - settings.TRUSTED_PROXIES :]
    return _counted(told[0]) or _counted(peer)


def name(request: HttpRequest, credentials: Mapping[str, str] | None = None) -> str | None:
    """The name that was typed; no account has one of more than `LONGEST` characters."""
    typed = (credentials or request.POST).get("username")
    return typed[:LONGEST] if typed else None


def _counted(text: str) -> str | None:
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ip_network((int(found), HOUSEHOLD), strict=False).network_address)


def locked(request: HttpRequest, response: HttpResponse, credentials: object) -> HttpResponse:
    wait = round(settings.AXES_COOLOFF_TIME.total_seconds())
    page = render(request, "registration/locked.html", {"minutes": wait // 60}, status=429)
    page["Retry-After"] = str(wait)
    return page
