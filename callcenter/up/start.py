"""`manage.py up`: what must hold before anything starts, then everything."""

import errno
import os
import socket
import time
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from callcenter import locks
from callcenter.embedded import log_path
from callcenter.embedded.engines import wanted
from callcenter.embedded.orphans import clear
from callcenter.up import foreground
from callcenter.up.programs import programs
from callcenter.up.terminal import Terminal

# What a killed `up` started needs a moment to end.
PATIENCE = 10.0


def up(*, demo: bool, with_parent: bool) -> None:
    """Run until asked to stop. `with_parent`: end when the process that started this one does."""
    parent = os.getppid() if with_parent else None
    pidfile = settings.DATA_DIR / "up.pid"
    logs = log_path(settings.DATA_DIR, "any").parent
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    claim(settings.DATA_DIR / "up.lock", pidfile)
    check_ports(PATIENCE if pidfile.exists() else 0.0)
    for engine in wanted(settings.DATABASE_URL, settings.REDIS_URL):
        clear(engine, settings.DATA_DIR)
    # WhiteNoise warns where it is missing; `collectstatic` fills it in production.
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    # The programs start in another directory than we did perhaps.
    os.environ |= {"DATA_DIR": str(settings.DATA_DIR), "PYTHONUNBUFFERED": "1"}
    found = programs(demo=demo)
    terminal = Terminal()
    terminal.say("starting; the first start takes a little longer")
    failure = foreground.run(found, logs, pidfile, terminal, parent)
    if failure:
        raise CommandError(failure)
    terminal.say("stopped")


def claim(lock: Path, pidfile: Path) -> None:
    if locks.take(lock) is not None:
        return
    number = pidfile.read_text().strip() if pidfile.exists() else "unknown"
    raise CommandError(
        f"The system runs already on {lock.parent} (process {number}). Stop that one, or set "
        "DATA_DIR, PORT and SPEECH_PORT to start another beside it."
    )


def check_ports(patience: float) -> None:
    """Refuse to start where a port is taken; `patience`: seconds for it to become free."""
    ports = {"PORT": settings.PORT}
    if settings.OWN_SPEECH_SERVICE:
        ports["SPEECH_PORT"] = settings.SPEECH_PORT
    if len(set(ports.values())) < len(ports):
        raise CommandError(f"PORT and SPEECH_PORT are both {settings.PORT}: set one to another.")
    deadline = time.monotonic() + patience
    for setting, port in ports.items():
        while trouble := _trouble(setting, settings.HOST, port):
            if time.monotonic() >= deadline:
                raise CommandError(trouble)
            time.sleep(0.2)


def _trouble(setting: str, host: str, port: int) -> str:
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"{setting}: port {port} is in use by another program; set it to a free one."
        if error.errno == errno.EACCES:
            return f"{setting}: port {port} needs privileges; set it to one above 1023."
        return f"HOST: cannot listen on {host}: {error.strerror}."
    return ""
