"""PostgreSQL and Redis for those who give no URL.

Here: where they are to be found, the same in every terminal, and what is kept beside them.
Nothing is started; `callcenter.embedded.engines` does that.
"""

import contextlib
import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import quote

from callcenter.environment import BadSetting

# The address of a Unix socket holds 104 bytes on macOS, 108 on Linux.
LONGEST_SOCKET = 100
POSTGRES_SOCKET = ".s.PGSQL.5432"


def database_url(data_dir: Path) -> str:
    return f"postgresql://postgres@/callcenter?host={quote(str(socket_dir(data_dir)))}"


def redis_url(data_dir: Path) -> str:
    return f"unix://{quote(str(redis_socket(data_dir)))}"


def redis_socket(data_dir: Path) -> Path:
    return socket_dir(data_dir) / "redis.sock"


def socket_dir(data_dir: Path) -> Path:
    """`data_dir/run`, or a private place with a short name where that makes too long an address."""
    near = data_dir / "run"
    if len(os.fsencode(near / POSTGRES_SOCKET)) <= LONGEST_SOCKET:
        return near
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    # Not gettempdir(): another terminal's TMPDIR must not lead elsewhere.
    return Path("/tmp") / f"callcenter-{os.geteuid()}-{name}"  # noqa: S108


def log_path(data_dir: Path, engine: str) -> Path:
    return data_dir / "log" / f"{engine}.log"


def first_run_path(data_dir: Path) -> Path:
    """What the first start created: accounts and an API key."""
    return data_dir / "first-run.json"


def secret_key(data_dir: Path) -> str:
    """The one kept in `data_dir/secret-key`, made at the first call; the same for all who ask."""
    path = data_dir / "secret-key"
    try:
        if not path.exists():
            _create(path, secrets.token_urlsafe(50))
        return path.read_text()
    except OSError as error:
        why = f"{error.strerror} at {path}; use a directory that this user may write"
        raise BadSetting("DATA_DIR", why) from None


def _create(path: Path, text: str) -> None:
    """Whole or not at all, and never over what another process made in the meantime."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
