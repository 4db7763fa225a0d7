"""What docs/operations.md tells operators to type does what it says."""

import base64
import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import httpx
import psycopg
import pytest

from callcenter.embedded import database_url, first_run_path, secret_key
from callcenter.embedded.engines import serving
from tests.ai_service import ai_service
from tests.documents import blocks, run_shell
from tests.load.bench import product
from tests.processes import web
from tests.waiting import until

pytestmark = pytest.mark.processes

NAMES = [f"kept-{number}" for number in range(6)]
ARCHIVED = NAMES[:3]
PACKETS = 250
# All but what a worker that has nothing to do writes every few seconds.
TABLES = """
SELECT tablename FROM pg_tables
WHERE schemaname = 'public' AND tablename NOT IN ('calls_heartbeat', 'django_q_ormq')
"""
CONTENT = "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {} AS t"


def talk(client: httpx.Client) -> None:
    """Calls of both kinds, each with packets that no other has."""
    draw = random.Random(4)
    for name in NAMES:
        lines = [
            {
                "call_id": name,
                "sequence": number,
                "data": base64.b64encode(draw.randbytes(160)).decode(),
                "timestamp": 1.0 + number * 0.02,
                "track": draw.choice(["inbound", "outbound"]),
            }
            for number in range(PACKETS)
        ]
        assert client.post("/v1/packets", json={"packets": lines}).json()["accepted"] == PACKETS
        client.post(f"/v1/call/{name}/end", json={})
    until(lambda: all(has_result(client, name) for name in NAMES), 60)
    for name in ARCHIVED:
        assert client.post(f"/v1/call/{name}/archive").status_code == 202


def has_result(client: httpx.Client, name: str) -> bool:
    return bool(client.get(f"/v1/call/{name}/status").json()["has_ai_result"])


def heard(client: httpx.Client) -> dict[str, tuple[object, str]]:
    """All that is told of each call, and its sound."""
    return {
        name: (
            client.get(f"/v1/call/{name}").json(),
            hashlib.sha256(client.get(f"/v1/call/{name}/recording").content).hexdigest(),
        )
        for name in NAMES
    }


def rows(home: Path) -> dict[str, tuple[object, ...]]:
    """How many rows each table has, and their checksum."""
    with psycopg.connect(database_url(home)) as session:
        tables = [name for (name,) in session.execute(TABLES)]
        return {name: session.execute(CONTENT.format(name)).fetchone() or () for name in tables}


def files(home: Path) -> dict[str, bytes]:
    folder = home / "recordings"
    kept = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return kept | {name: (home / name).read_bytes() for name in ("first-run.json", "secret-key")}


def test_what_was_backed_up_destroyed_and_restored_is_there_byte_for_byte(tmp_path: Path) -> None:
    home = tmp_path / "data"
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(home),
        "BACKUP": str(tmp_path / "backup"),
    }
    with (
        ai_service() as service,
        product(home, worker=True, AI_BASE_URL=service.url) as (url, key, _),
        httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False) as client,
    ):
        secret_key(home)
        first_run_path(home).write_text(json.dumps({"api_key": key}))
        talk(client)
        before = heard(client)
        rows_before, files_before = rows(home), files(home)
        for lines in blocks("operations.md", "Back up", "sh"):
            run_shell(lines, **environment)
    shutil.rmtree(home)
    for lines in blocks("operations.md", "Restore", "sh"):
        run_shell(lines, **environment)
    with serving(home) as urls:
        assert rows(home) == rows_before
        assert files(home) == files_before
        own = {"DATA_DIR": str(home), "DATABASE_URL": urls.database}
        with (
            web(urls=urls, home=tmp_path, **own) as url,
            httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False) as client,
        ):
            assert heard(client) == before
    assert len(rows_before) > 20
    assert len([name for name in files_before if "." in name]) > len(ARCHIVED)
