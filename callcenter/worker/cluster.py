"""One life of the django-q2 cluster: a process group that is whole or not worth keeping.

django-q2 does not survive the death of its parts: an idle worker that is killed dies holding
the queue's lock, and the cluster hangs for good while it looks healthy. So a group that lost a
process is killed as a whole and started again; what it worked on is taken up by others.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

import psutil

from callcenter import leash
from callcenter.groups import members

# Beside its workers: the main process, its sentinel, the monitor and the pusher.
OTHERS = 4


class Cluster:
    def __init__(self, project: Path, workers: int, environment: dict[str, str]) -> None:
        program = [sys.executable, "-m", "callcenter.leash", "--quick", "manage.py", "qcluster"]
        self._main = leash.spawn(program, cwd=project, env=os.environ | environment)
        self._size = workers + OTHERS
        self._known: set[int] = set()

    @property
    def pid(self) -> int:
        return self._main.pid

    @property
    def whole(self) -> bool:
        """Whether all of it has started; the death of what was never seen goes unnoticed."""
        return len(self._known) >= self._size

    def damage(self) -> str:
        """What is wrong, in words; nothing while it is whole. To be asked again and again."""
        if self.ended():
            return f"its main process ended ({self._main.returncode})"
        seen = members(self.pid)
        if missing := self._known - seen:
            return f"its process {min(missing)} vanished"
        self._known |= {pid for pid in seen - self._known if self._forked(pid)}
        return ""

    def _forked(self, pid: int) -> bool:
        """Its parts are forks of the main process; programs it runs for a moment are not."""
        try:
            return bool(psutil.Process(pid).cmdline() == psutil.Process(self.pid).cmdline())
        except psutil.Error:
            return False

    def ended(self) -> bool:
        return self._main.poll() is not None

    def terminate(self) -> None:
        """Ask it to finish. Only the main process: its sentinel, asked directly, just dies."""
        self._main.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._main.communicate()
