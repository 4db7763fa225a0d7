"""Waits until the system answers, then tells where it is and how to get in."""

import json
import os
import sys
import time
from pathlib import Path

import httpx
from django.conf import settings

from callcenter.embedded import first_run_path

HEALTHY_WITHIN = 120.0  # seconds
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104


def address() -> str:
    host = ANYWHERE.get(settings.HOST, settings.HOST)
    return f"http://{host}:{settings.PORT}"


def healthy() -> str:
    """Nothing once /health says 200, else what it says."""
    named = [host for host in settings.ALLOWED_HOSTS if host[0] not in "*."]
    headers = {"Host": named[0]} if named else {}
    try:
        answer = httpx.get(f"{address()}/health", headers=headers, timeout=5, trust_env=False)
    except httpx.HTTPError as error:
        return str(error)
    return "" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"


def banner(kept: Path) -> str:
    where = address()
    lines = [
        "",
        "  The call centre is running.",
        "",
        f"  Dashboard    {where}/",
        f"  Admin        {where}/admin/",
        f"  API          {where}/docs",
        "",
        *logins(kept),
        "  Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)


def logins(kept: Path) -> list[str]:
    if not kept.exists():
        return []
    made = json.loads(kept.read_text())
    people = [made["supervisor"], made["admin"]]
    return [
        *(f"  {person['username']:<12} {person['password']}" for person in people),
        f"  {'API key':<12} {made['api_key']}",
        "",
        f"  These logins are kept in {kept}.",
    ]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    deadline = time.monotonic() + HEALTHY_WITHIN
    while trouble := healthy():
        if time.monotonic() > deadline:
            sys.exit(f"{address()}/health does not say 200: {trouble}")
        time.sleep(0.2)
    kept = first_run_path(settings.DATA_DIR)
    if settings.LOG_FORMAT == "text":
        print(banner(kept), flush=True)
    else:
        # Logs of machines are kept and read by many: logins are no part of them.
        print(f"The call centre is running at {address()}/, its first logins are in {kept}.")


if __name__ == "__main__":
    main()
