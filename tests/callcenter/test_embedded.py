"""The embedded engines: found from every terminal, durable, and never left behind."""

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis

from callcenter import embedded
from callcenter.embedded.engines import NotReady, Urls, serving
from callcenter.embedded.postgres import system_user
from callcenter.environment import BadSetting
from callcenter.groups import alive
from tests.waiting import until

SERVES_AND_WAITS = """
import pathlib, sys, time
from callcenter.embedded.engines import serving
with serving(pathlib.Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


def answer(url: str, statement: str) -> object:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row
    return row[0]


def test_the_addresses_depend_on_the_directory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = embedded.database_url(Path("/srv/calls"))
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert embedded.database_url(Path("/srv/calls")) == before
    assert embedded.redis_url(Path("/srv/calls")) == "unix:///srv/calls/run/redis.sock"


def test_a_directory_too_long_for_a_socket_gets_a_short_one_of_its_own() -> None:
    first, second = (embedded.socket_dir(Path("/srv") / (name * 100)) for name in "ab")
    assert first != second
    assert len(str(first / embedded.POSTGRES_SOCKET)) <= embedded.LONGEST_SOCKET


def test_engines_serve_from_a_very_long_directory(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long" * 20) / "with spaces & 100%"
    with serving(data_dir) as urls:
        assert answer(urls.database, "SELECT 1") == 1
    assert not any(embedded.socket_dir(data_dir).iterdir())
    embedded.socket_dir(data_dir).rmdir()


@pytest.fixture
def newcomer() -> Iterator[str]:
    """The name of a user that this machine does not have yet."""
    if os.geteuid() != 0:
        pytest.skip("only root makes users")
    name = f"callcenter-{os.getpid()}"
    yield name
    subprocess.run(["userdel", name], check=True)


def test_the_first_starts_on_a_machine_make_one_user_among_them(newcomer: str) -> None:
    with ProcessPoolExecutor(4) as pool:
        made = {entry.pw_uid for entry in pool.map(system_user, [newcomer] * 4)}
    assert made == {pwd.getpwnam(newcomer).pw_uid}


def test_the_secret_key_is_the_same_for_all_who_make_it_at_once(tmp_path: Path) -> None:
    homes = [tmp_path / str(number) for number in range(50)]
    with ProcessPoolExecutor(8) as pool:
        keys = list(pool.map(embedded.secret_key, [home for home in homes for _ in range(8)]))
    assert [len(set(keys[at : at + 8])) for at in range(0, len(keys), 8)] == [1] * len(homes)


def test_the_secret_key_is_long_and_for_its_owner_alone(tmp_path: Path) -> None:
    assert len(embedded.secret_key(tmp_path)) > 50
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_that_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match=r"^DATA_DIR: Not a directory at .*secret-key; use"):
        embedded.secret_key(tmp_path / "file" / "below")


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes"])
def test_postgres_is_durable(engines: Urls, name: str) -> None:
    assert answer(engines.database, f"SHOW {name}") == "on"


def test_postgres_knows_letters_and_their_order_alike_on_every_machine(engines: Urls) -> None:
    assert answer(engines.database, "SELECT upper('grün')") == "GRÜN"
    assert answer(engines.database, "SELECT 'B' < 'a'") is True


def test_nobody_reaches_the_engines_over_the_network(engines: Urls) -> None:
    assert answer(engines.database, "SHOW listen_addresses") == ""
    with Redis.from_url(engines.redis) as client:
        assert client.config_get("port") == {"port": "0"}


@pytest.fixture
def program() -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(data_dir: Path) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", SERVES_AND_WAITS, str(data_dir)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_sigkill_of_the_parent_leaves_no_engine(
    tmp_path: Path, program: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    parent = program(tmp_path)
    family = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
    assert len(family) > 4

    parent.kill()

    until(lambda: not any(map(alive, family)), 10, "all engines are gone")


def test_an_engine_whose_wrapper_was_killed_gives_way_to_the_next(
    tmp_path: Path, program: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    parent = psutil.Process(program(tmp_path).pid)
    url = embedded.database_url(tmp_path)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    wrappers = parent.children()
    orphans = [engine.pid for wrapper in wrappers for engine in wrapper.children()]
    for wrapper in wrappers:
        wrapper.kill()
    assert len(orphans) == 2
    assert all(map(alive, orphans))

    with serving(tmp_path) as urls:
        assert not any(map(alive, orphans))
        assert answer(urls.database, "SELECT answer FROM kept") == 42


def test_a_first_start_that_was_interrupted_leaves_nothing_half(tmp_path: Path) -> None:
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").touch()
    with serving(tmp_path) as urls:
        assert answer(urls.database, "SELECT 1") == 1


def test_files_of_another_postgres_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(NotReady, match=r"was made by PostgreSQL 16, this is 18.*pg_dump"):
        serving(tmp_path).__enter__()
