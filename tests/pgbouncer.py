"""PgBouncer in front of a PostgreSQL, as hard on its clients as it can be."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from callcenter import leash
from callcenter.embedded.engines import Urls
from tests.processes import free_port, needed
from tests.waiting import until

# Few sessions, lent by turns: what one transaction leaves in its session the next does not find.
SETTINGS = """\
[databases]
* = {server}

[pgbouncer]
pool_mode = transaction
server_round_robin = 1
default_pool_size = 8
max_client_conn = 500
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
"""


@contextmanager
def pgbouncer(urls: Urls, home: Path) -> Iterator[Urls]:
    """The same database through a pooler; skips aloud where there is none."""
    program = needed("pgbouncer")
    server = psycopg.conninfo.conninfo_to_dict(urls.database)
    port = free_port()
    with _somebody(server) as (user, place), (home / "pgbouncer.log").open("ab") as log:
        settings = place / "pgbouncer.ini"
        settings.write_text(SETTINGS.format(server=_words(server), port=port))
        process = leash.spawn([program, settings], stdout=log, stderr=log, **user)
        pooled = replace(urls, database=f"postgresql://postgres@127.0.0.1:{port}/callcenter")
        try:
            until(lambda: _answers(pooled.database), 10, "an answer of pgbouncer")
            yield pooled
        finally:
            process.terminate()
            process.communicate(timeout=20)


@contextmanager
def _somebody(server: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Path]]:
    """Whom it may run as, for it refuses root, and a directory that they may read."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        place = Path(name)
        if os.geteuid() != 0:
            yield {}, place
            return
        place.chmod(0o755)
        host = Path(server.get("host") or "localhost")
        # The embedded engine's socket is its owner's alone.
        user = host.stat().st_uid if host.is_absolute() else "nobody"
        yield {"user": user, "group": "nogroup", "extra_groups": []}, place


def _words(server: dict[str, Any]) -> str:
    """A server as its settings name it; databases keep their names."""
    return " ".join(
        f"{name}={server[name]}" for name in ("host", "port", "user", "password") if name in server
    )


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
