"""What `up` runs, in which order, as supervisord's configuration."""

import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from callcenter.embedded import log_path
from callcenter.embedded.engines import command, wanted

LEASH = [sys.executable, "-m", "callcenter.leash"]
LONGEST_STOP = 14
"""Seconds that a program gets to end politely; the worker hands back what it holds in that time."""

SUPERVISORD = """\
[supervisord]
nodaemon = true
silent = true
nocleanup = true
identifier = callcenter
logfile_maxbytes = 1MB
logfile_backups = 1
"""
PROGRAM = """
[program:{name}]
command = set later
autostart = {autostart}
autorestart = {autorestart}
startsecs = {startsecs}
startretries = {startretries}
stopwaitsecs = {stopwaitsecs}
killasgroup = true
redirect_stderr = true
stdout_events_enabled = {shown}
stdout_logfile = NONE
stdout_logfile_maxbytes = 5MB
stdout_logfile_backups = 1
"""
GROUP = """
[group:{name}]
programs = {programs}
priority = {priority}
"""


@dataclass(frozen=True)
class Program:
    name: str
    command: list[str]
    stage: int
    """A stage starts when all of the stage before that run `once` have done their work."""
    once: bool = False
    log: Path | None = None
    """Its output goes here instead of the terminal."""

    @property
    def is_engine(self) -> bool:
        return self.log is not None


def programs(*, demo: bool) -> list[Program]:
    found = [
        Program(engine, command(engine, settings.DATA_DIR), 0, log=_engine_log(engine))
        for engine in wanted(settings.DATABASE_URL, settings.REDIS_URL)
    ]
    found += [
        Program("prepare", _manage("prepare"), 0, once=True),
        Program("web", [*LEASH, "-m", "callcenter.web"], 1),
        Program("worker", _manage("worker"), 1),
    ]
    if settings.OWN_SPEECH_SERVICE:
        found.append(Program("speech", _manage("speech"), 1))
    found.append(Program("greeting", [*LEASH, "-m", "callcenter.up.greeting"], 1, once=True))
    if demo:
        found.append(Program("demo", _manage("play_calls", "--demo"), 2))
    return found


def configuration(found: list[Program]) -> str:
    """All but paths, which this format would change: it expands "%" and cuts at " #".

    The services stop side by side, and the engines after the last of them.
    """
    engines = [one.name for one in found if one.is_engine]
    others = [one.name for one in found if not one.is_engine]
    parts = [SUPERVISORD, *map(_section, found)]
    for name, members, priority in (("engines", engines, 1), ("services", others, 2)):
        if members:
            parts.append(GROUP.format(name=name, programs=",".join(members), priority=priority))
    return "".join(parts)


def _section(program: Program) -> str:
    return PROGRAM.format(
        name=program.name,
        autostart=program.stage == 0,
        autorestart=not program.once,
        startsecs=0 if program.once else 2,
        startretries=0 if program.once else 2,
        stopwaitsecs=LONGEST_STOP,
        shown=not program.is_engine,
    )


def _manage(*words: str) -> list[str]:
    return [*LEASH, "manage.py", *words]


def _engine_log(engine: str) -> Path:
    return log_path(settings.DATA_DIR, engine)
