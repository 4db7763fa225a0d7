"""Is the process of this container well? `python -m callcenter.healthcheck web|worker|speech`.

For the orchestrator: exits with 0 or 1 and says why. It asks no database and loads no Django.
"""

import http.client
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ANSWER_WITHIN = 5.0  # seconds
SIGN_OF_LIFE_WITHIN = 60.0
WORKERS = "callcenter-worker-*/alive"


def web() -> str:
    """`/health` says what can be stored; a host is named that the settings allow."""
    named = [
        host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host[:1] not in ".*"
    ]
    return _status("PORT", "8000", "/health", named[0].strip() if named else "localhost")


def speech() -> str:
    return _status("SPEECH_PORT", "8001", "/health", "localhost")


def worker() -> str:
    """The watch over the cluster leaves a sign of life at every look."""
    signs = [path.stat().st_mtime for path in Path(tempfile.gettempdir()).glob(WORKERS)]
    silence = time.time() - max(signs, default=0.0)
    return "" if silence < SIGN_OF_LIFE_WITHIN else "the worker gives no sign of life"


def _status(setting: str, default: str, path: str, host: str) -> str:
    port = int(os.environ.get(setting, "").strip() or default)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN)
    try:
        connection.request("GET", path, headers={"Host": host})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{path} on port {port}: {error}"
    return "" if status == 200 else f"{path} on port {port} says {status}"


CHECKS: dict[str, Callable[[], str]] = {"web": web, "worker": worker, "speech": speech}


def main(words: list[str]) -> str:
    """What is wrong, or nothing."""
    if len(words) != 1 or words[0] not in CHECKS:
        return f"usage: python -m callcenter.healthcheck {'|'.join(CHECKS)}"
    return CHECKS[words[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)
