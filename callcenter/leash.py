"""Standard input as a leash: no process outlives the one that started it.

The parent holds the write end of the child's stdin pipe. However the parent dies, SIGKILL
included, the kernel closes that end and the child ends its own process group. Works wherever
there are pipes; supervisord gives each of its children such a pipe and a group of its own.

    python -m callcenter.leash [--quick] -m module arguments…
    python -m callcenter.leash [--quick] script.py arguments…

`--quick` ends the group by SIGKILL at once, else it has `BOUND` seconds to end politely.
"""

import os
import runpy
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BOUND = 5
"""Seconds from the polite signal to SIGKILL."""

# A process of its own, for the group's leader may be gone before the others.
REAPER = f"""
left={BOUND}
while [ $left -gt 0 ]; do sleep 1; kill -s 0 -- "-$1" || exit 0; left=$((left - 1)); done
kill -s KILL -- "-$1"
"""


def spawn(command: Sequence[str | Path], **popen: Any) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, on the leash of this process.

    Letting go of the returned object closes the pipe and so ends the child.
    """
    return subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, start_new_session=True, **popen
    )


def hold(end: Callable[[], object]) -> None:
    """Call `end` from a thread when the parent lets go. Without a pipe on stdin nobody holds us."""
    if not _is_pipe(0):
        return
    leash = os.dup(0)
    # Children must not read from the leash; that it is open in them does no harm.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_watch, args=(leash, end), name="leash", daemon=True).start()


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _watch(leash: int, end: Callable[[], object]) -> None:
    while os.read(leash, 4096):
        pass
    end()


def hold_group(*, quick: bool = False) -> None:
    """End this process's own group when the parent lets go."""
    if _is_pipe(0) and os.getpgrp() != os.getpid():
        os.setpgrp()
    hold(_kill_group if quick else _end_group)


def _kill_group() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _end_group() -> None:
    group = os.getpgrp()
    try:
        subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", REAPER, "reaper", str(group)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        _kill_group()
    os.killpg(group, signal.SIGTERM)


def wrap(
    command: Sequence[str | Path], *, stop: signal.Signals = signal.SIGTERM, **popen: Any
) -> int:
    """Run a foreign program that knows no leash; its exit code, 128 + n when signal n ended it.

    SIGTERM, SIGINT and the parent's end become `stop`, then SIGKILL after `BOUND` seconds.
    """
    asked, ask = os.pipe()
    os.set_blocking(ask, False)
    # A handler in Python would wait for the main thread, which waits for the child.
    signal.set_wakeup_fd(ask, warn_on_full_buffer=False)
    _hear(lambda *_: None)
    hold(lambda: os.write(ask, b"."))
    child = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, start_new_session=True, **popen
    )
    threading.Thread(target=_end_when, args=(asked, child, stop), daemon=True).start()
    code = child.wait()
    # Else the interpreter gives up the handlers as it ends, and the code is lost to the next one.
    _hear(signal.SIG_IGN)
    return code if code >= 0 else 128 - code


def _hear(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _end_when(asked: int, child: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    os.read(asked, 1)
    child.send_signal(stop)
    try:
        child.wait(BOUND)
    except subprocess.TimeoutExpired:
        child.kill()


def main(arguments: list[str]) -> None:
    quick = arguments[:1] == ["--quick"]
    arguments = arguments[quick:]
    if not arguments or arguments == ["-m"]:
        sys.exit("usage: python -m callcenter.leash [--quick] (-m module | script.py) [arguments…]")
    hold_group(quick=quick)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
