"""Real processes of the system on the database of the test under way."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from django.db import connection

from callcenter import leash
from callcenter.embedded.engines import Urls
from tests.waiting import until

WEB = [sys.executable, "-m", "callcenter.web"]
WORKER = [sys.executable, "manage.py", "worker"]
# In front of a program that knows no leash: whoever kills the tests would leave it behind.
LEASHED = [
    sys.executable,
    "-c",
    "import sys; from callcenter import leash; sys.exit(leash.wrap(sys.argv[1:]))",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def needed(program: str) -> str:
    """Where a program of the system is; skips aloud where it is not."""
    # Debian puts servers where users do not look.
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        absent = f"no {program} was found: install it to test what runs behind it"
        if os.environ.get("CI") == "true":
            pytest.fail(absent)
        pytest.skip(absent)
    return found


@contextmanager
def running(words: list[str], *, urls: Urls, home: Path, **environment: str) -> Iterator["Running"]:
    """A process with these settings, ended with the block."""
    process = Running(words, urls, home, environment)
    try:
        yield process
    finally:
        process.process.terminate()
        process.process.communicate(timeout=20)


@contextmanager
def web(*, urls: Urls, home: Path, **environment: str) -> Iterator[str]:
    """A web process that is ready to answer; its address."""
    port = free_port()
    with running(WEB, urls=urls, home=home, PORT=str(port), **environment) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/health"), 30, f"an answer\n{process.said()}")
        yield url


class Running:
    def __init__(
        self, words: list[str], urls: Urls, home: Path, environment: dict[str, str]
    ) -> None:
        name = str(connection.settings_dict["NAME"])
        surroundings = {
            "DATABASE_URL": urlsplit(urls.database)._replace(path=f"/{name}").geturl(),
            "REDIS_URL": urls.redis,
            "SECRET_KEY": settings.SECRET_KEY,
            "TMPDIR": str(home),
        }
        self.log = home / f"{Path(words[-1]).name}.log"
        with self.log.open("ab") as log:
            self.process = leash.spawn(
                words,
                cwd=settings.BASE_DIR,
                env=_ours() | surroundings | environment,
                stdout=log,
                stderr=log,
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def _ours() -> dict[str, str]:
    """Our environment without the role that the test process took with the ASGI application."""
    return {name: value for name, value in os.environ.items() if name != "CALLCENTER_ROLE"}


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
