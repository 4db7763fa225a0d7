"""supervisord in the foreground: starts by stages, shows what the programs say, ends cleanly."""

import contextlib
import io
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.process import Subprocess
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.supervisord import Supervisor

from callcenter.up.programs import Program, configuration
from callcenter.up.terminal import Terminal

LONGEST_PAUSE = 10
"""Seconds between starts of a program that keeps dying."""
FOR_EVER = 10**9
HURRY = 2
"""Seconds to SIGKILL for those who stop in a hurry."""


def run(
    programs: list[Program], logs: Path, pidfile: Path, terminal: Terminal, parent: int | None
) -> str:
    """Until SIGINT, SIGTERM or SIGHUP, or a failed start: then why, in words."""
    options = ServerOptions()
    options.configfile = io.StringIO(configuration(programs))
    places = ["-l", str(logs / "supervisord.log"), "-q", str(logs), "-j", str(pidfile)]
    options.realize(args=places, progname="up", doc="")
    commands = {program.name: program for program in programs}
    for group in options.process_group_configs:
        for process in group.process_configs:
            program = commands[process.name]
            process.command = shlex.join(program.command)
            process.directory = str(settings.BASE_DIR)
            process.stdout_logfile = program.log and str(program.log)
    foreground = Foreground(options, programs, terminal, parent)
    with contextlib.suppress(ExitNow):
        foreground.main()
    options.close_logger()
    return foreground.failure


class Foreground(Supervisor):  # type: ignore[misc]
    def __init__(
        self, options: Any, programs: list[Program], terminal: Terminal, parent: int | None
    ) -> None:
        super().__init__(options)
        options.first, options.test = True, False
        self.failure = ""
        self._programs = {program.name: program for program in programs}
        self._awaited = {program.name for program in programs if program.once}
        self._terminal = terminal
        self._parent = parent

    def runforever(self) -> None:
        events.subscribe(events.ProcessLogEvent, self._show)
        for state in (events.ProcessStateExitedEvent, events.ProcessStateStoppedEvent):
            events.subscribe(state, self._ended)
        events.subscribe(events.ProcessStateBackoffEvent, self._died_at_start)
        events.subscribe(events.ProcessStateFatalEvent, self._gave_up)
        super().runforever()

    def handle_signal(self) -> None:
        if self.options.get_signal() not in {
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGQUIT,
            signal.SIGHUP,
        }:
            return
        if self._stopping:
            self._hurry()
            return
        self._terminal.say("stopping; once more to stop at once")
        self.options.mood = SupervisorStates.SHUTDOWN

    def tick(self, now: float | None = None) -> None:
        super().tick(now)
        if self._parent and os.getppid() != self._parent:
            # As if we had been killed with it: the leashes end all the others.
            os._exit(1)

    @property
    def _stopping(self) -> bool:
        return bool(self.options.mood < SupervisorStates.RUNNING)

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why
        self.options.mood = SupervisorStates.SHUTDOWN

    def _show(self, event: Any) -> None:
        self._terminal.show(event.process.config.name, event.data)

    def _ended(self, event: Any) -> None:
        process = event.process
        kill_group(process)
        if self._stopping:
            return
        program = self._programs[process.config.name]
        if not program.once:
            self._terminal.say(f"{program.name} ended, starting it again")
        elif event.expected:
            self._done(program)
        else:
            self._fail(f"The start failed, see what {program.name} says above.")

    def _done(self, program: Program) -> None:
        """Start what waited for this; once nothing is awaited, nothing is given up any more."""
        self._awaited.discard(program.name)
        for process in self._processes():
            waiting = process.state == ProcessStates.STOPPED and not process.laststart
            if waiting and self._programs[process.config.name].stage == program.stage + 1:
                process.spawn()
        if not self._awaited:
            for process in self._processes():
                process.config.startretries = FOR_EVER

    def _died_at_start(self, event: Any) -> None:
        process = event.process
        kill_group(process)
        process.backoff = min(process.backoff, LONGEST_PAUSE)
        if not self._stopping:
            self._terminal.say(f"{process.config.name} ended soon after its start")

    def _gave_up(self, event: Any) -> None:
        program = self._programs[event.process.config.name]
        if not self._stopping:
            log = f"see {program.log}" if program.log else "see what it says above"
            self._fail(f"{program.name} does not start: {log}.")

    def _processes(self) -> list[Subprocess]:
        return [one for group in self.process_groups.values() for one in group.processes.values()]

    def _hurry(self) -> None:
        """The services are asked once more, which they take for "at once", then killed.

        The engines are left out: they are quick, and would need to recover.
        """
        for process in self._processes():
            if process.pid and not self._programs[process.config.name].is_engine:
                os.kill(process.pid, signal.SIGINT)
                process.delay = min(process.delay, time.time() + HURRY)


def kill_group(process: Subprocess) -> None:
    """What a program leaves behind would hold its port."""
    if process.pid:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
