"""The real processes of the system, on a database, a Redis and a DATA_DIR of their own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from django.conf import settings

from callcenter import leash
from callcenter.embedded import first_run_path, redis_url
from callcenter.embedded.engines import Urls
from tests.processes import WEB, WORKER, free_port
from tests.waiting import until

DATABASE = "browser_tests"
LEASH = [sys.executable, "-m", "callcenter.leash"]
PROGRAMS = {
    "web": [*LEASH, *WEB[1:]],
    "worker": [*LEASH, *WORKER[1:]],
    "speech": [*LEASH, "manage.py", "speech"],
    "redis": [sys.executable, "-m", "callcenter.embedded.redis"],
}


class System:
    """Starts and ends programs; talks to them over HTTP and SQL, never through the ORM, which
    does not work in the thread of Playwright.
    """

    def __init__(self, engines: Urls, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.database = urlsplit(engines.database)._replace(path=f"/{DATABASE}").geturl()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = os.environ | {
            "DATABASE_URL": self.database,
            "REDIS_URL": redis_url(data_dir),
            "SECRET_KEY": "for browser tests alone",
            "DATA_DIR": str(data_dir),
            "PORT": str(port),
            "SPEECH_PORT": str(free_port()),
            **environment,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def prepare(self) -> None:
        """A fresh database with the accounts and the key of a first start."""
        with psycopg.connect(self.database, dbname="postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        self.start("redis")
        self.manage("prepare")
        first_run = json.loads(first_run_path(self.data_dir).read_text())
        self.admin: dict[str, str] = first_run["admin"]
        self.supervisor: dict[str, str] = first_run["supervisor"]
        self.api_key: str = first_run["api_key"]

    def manage(self, *words: str) -> str:
        """A command that ends by itself; what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=settings.BASE_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *names: str) -> None:
        for name in names:
            with self.log(name).open("ab") as log:
                self.running[name] = leash.spawn(
                    [*PROGRAMS[name], *([str(self.data_dir)] if name == "redis" else [])],
                    cwd=settings.BASE_DIR,
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                )
        if "web" in names:
            until(self.healthy, 30, f"the web process\n{self.log('web').read_text()}")

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self, name: str) -> None:
        program = self.running.pop(name)
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate(timeout=10)

    def stop(self, *names: str) -> None:
        """Politely, and all of them side by side."""
        programs = [self.running.pop(name) for name in names or [*self.running]]
        for program in programs:
            program.terminate()
        for program in programs:
            program.communicate(timeout=30)

    def log(self, name: str) -> Path:
        return self.data_dir / f"{name}.log"

    def send(self, method: str, path: str, **body: object) -> dict[str, Any]:
        """A request as a PBX makes it."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = httpx.request(
            method, f"{self.url}/v1{path}", json=body, headers=headers, timeout=10, trust_env=False
        )
        assert answer.is_success, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def send_packet(self, call_id: str, sequence: int) -> None:
        packet = {"sequence": sequence, "data": "fn5+fg==", "timestamp": 1_706_745_600 + sequence}
        self.send("POST", f"/call/stream/{call_id}", **packet)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def forget_calls(self) -> None:
        self.query("TRUNCATE calls_call, django_q_ormq CASCADE")
