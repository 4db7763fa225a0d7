"""A process that prints a line once it is ready."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callcenter import leash

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def ready(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Killed at the end of the block; its standard output is a pipe."""
    process = leash.spawn(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE)
    assert process.stdout
    try:
        assert process.stdout.readline(), f"{' '.join(command[1:4])} did not get ready"
        yield process
    finally:
        process.kill()
        process.wait()
