"""The terminal of `up`: whole lines, each with the name of its program.

Where logs are JSON, what programs say otherwise is put into the same shape.
"""

import json
import os
import sys
from collections import defaultdict
from datetime import UTC, datetime

from django.conf import settings

WIDTH = 8
PLAIN = {"greeting"}


class Terminal:
    def __init__(self) -> None:
        self._unfinished: defaultdict[str, bytes] = defaultdict(bytes)

    def say(self, text: str) -> None:
        """A line of `up` itself."""
        self._print("up", text)

    def show(self, program: str, data: bytes) -> None:
        """What a program wrote; the beginning of a line waits for its end."""
        *lines, rest = (self._unfinished[program] + data).split(b"\n")
        self._unfinished[program] = rest
        for line in lines:
            self._print(program, line.decode(errors="replace").rstrip("\r"))

    def _print(self, program: str, line: str) -> None:
        if settings.LOG_FORMAT == "json" and not line:
            return
        try:
            print(_shaped(program, line), flush=True)
        except OSError:
            # Nobody reads any more; the programs run on and must not wait for it.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _shaped(program: str, line: str) -> str:
    if settings.LOG_FORMAT == "text":
        return line if program in PLAIN else f"{program:<{WIDTH}} | {line}"
    if line.startswith("{"):
        return line
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"time": moment, "level": "INFO", "logger": f"up.{program}", "message": line}
    return json.dumps(told)
