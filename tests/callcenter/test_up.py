"""`manage.py up` starts everything, restarts what dies, and leaves nothing behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from django.conf import settings

from callcenter import embedded, leash
from callcenter.groups import alive, members
from tests.processes import free_port
from tests.waiting import until

pytestmark = pytest.mark.processes

RUNNING = "The call centre is running"


class System:
    """One `up --no-demo` on a directory of its own, and every process that belongs to it."""

    def __init__(
        self, data_dir: Path, words: list[str | Path] | None = None, web_processes: int = 1
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        given = {"DATABASE_URL", "REDIS_URL", "AI_BASE_URL", "DJANGO_SETTINGS_MODULE"}
        self.environment = {key: value for key, value in os.environ.items() if key not in given}
        self.environment |= {
            "DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "SPEECH_PORT": str(free_port()),
            "WEB_PROCESSES": str(web_processes),
        }
        self.output = data_dir.parent / f"{self.port}.log"
        with self.output.open("wb") as output:
            self.process = leash.spawn(
                words or [sys.executable, "-m", "callcenter.leash", "manage.py", "up", "--no-demo"],
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdout=output,
                stderr=output,
            )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def greeted(self) -> bool:
        assert self.process.poll() is None, self.said()
        return RUNNING in self.said()

    def wait(self) -> "System":
        until(self.greeted, 60, f"the greeting\n{self.said()}")
        return self

    def healthy(self) -> bool:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def processes(self) -> dict[int, str]:
        """Its processes: by their environment, or for the engines by their command line."""
        found = {one.pid: self._command(one) for one in psutil.process_iter()}
        return {pid: command for pid, command in found.items() if command and alive(pid)}

    def _command(self, process: psutil.Process) -> str:
        try:
            command = " ".join(process.cmdline())
            ours = process.environ().get("DATA_DIR") == str(self.data_dir)
        except psutil.Error:
            return ""
        return command if ours or str(self.data_dir) in command else ""

    def one(self, words: str) -> int:
        return min(pid for pid, command in self.processes().items() if words in command)

    def gone(self) -> bool:
        return not self.processes()

    def refused(self) -> str:
        """What it says when it does not start."""
        assert self.process.wait(30) == 1, self.said()
        return self.said().strip()

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "data 100% #1"


@pytest.fixture(scope="module")
def first(home: Path) -> Iterator[System]:
    """The first start; it stands for the tests that leave it running."""
    system = System(home, web_processes=2)
    yield system.wait()
    system.end()


def test_the_first_start_ends_in_a_healthy_system(first: System) -> None:
    assert first.healthy()


def test_the_logins_are_printed_and_kept_for_the_owner_alone(first: System) -> None:
    path = embedded.first_run_path(first.data_dir)
    kept = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(kept) == {"admin", "supervisor", "api_key"}
    for words in (kept["admin"]["password"], kept["supervisor"]["password"], kept["api_key"]):
        assert words in first.said()


def test_the_first_api_key_may_read(first: System) -> None:
    key = json.loads(embedded.first_run_path(first.data_dir).read_text())["api_key"]
    url = f"http://127.0.0.1:{first.port}/v1/calls"
    answer = httpx.get(url, headers={"X-API-Key": key}, trust_env=False)
    assert answer.status_code == 200


def test_a_second_system_on_the_same_directory_is_refused(first: System) -> None:
    second = System(first.data_dir)
    assert f"runs already on {first.data_dir} (process {first.process.pid})" in second.refused()
    assert first.healthy()


def test_a_port_in_use_is_named_with_its_setting(first: System, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = first.environment | {"PORT": str(taken.getsockname()[1])}
        said = subprocess.run(
            [sys.executable, "manage.py", "up"],
            cwd=settings.BASE_DIR,
            env=environment | {"DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert said.returncode == 1
    assert "PORT: port" in said.stderr
    assert "in use by another program" in said.stderr


@pytest.mark.parametrize(
    "program", ["callcenter.web", "manage.py worker", "callcenter.embedded.postgres"]
)
def test_a_program_that_dies_is_started_again(first: System, program: str) -> None:
    before = first.one(program)
    os.kill(before, signal.SIGKILL)
    until(lambda: not members(before), 5, "the end of all that it left behind")
    until(lambda: any(program in words for words in first.processes().values()), 15)
    until(first.healthy, 20, f"health after the end of {program}\n{first.said()}")


def test_ctrl_c_ends_every_process(first: System) -> None:
    until(lambda: "qcluster" in " ".join(first.processes().values()), 20, "a whole system again")
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(15) == 0, first.said()
    until(first.gone, 1, f"all ended: {first.processes()}")


@pytest.fixture(scope="module")
def later(first: System, home: Path) -> Iterator[System]:
    """A later start on what the first one kept."""
    first.end()
    system = System(home)
    yield system.wait()
    system.end()


def test_a_later_start_keeps_everything(first: System, later: System) -> None:
    kept = json.loads(embedded.first_run_path(later.data_dir).read_text())
    assert kept["api_key"] in first.said()
    with psycopg.connect(embedded.database_url(later.data_dir)) as connection:
        row = connection.execute("SELECT count(*) FROM auth_user").fetchone()
    assert row == (2,)


def test_sigkill_leaves_no_process(later: System) -> None:
    later.process.kill()
    until(later.gone, 10, f"all ended: {later.processes()}")


def test_after_sigkill_it_starts_and_ends_with_its_parent_if_told_so(
    later: System, home: Path
) -> None:
    later.end()
    up = f"{sys.executable} manage.py up --no-demo --with-parent; true"
    shell = System(home, ["/bin/sh", "-c", up]).wait()
    assert shell.healthy()
    shell.process.kill()
    until(shell.gone, 10, f"all ended: {shell.processes()}")
