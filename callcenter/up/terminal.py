"""The terminal of `up`: whole lines, each with the name of its program."""

import os
import sys
from collections import defaultdict

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
        try:
            print(line if program in PLAIN else f"{program:<{WIDTH}} | {line}", flush=True)
        except OSError:
            # Nobody reads any more; the programs run on and must not wait for it.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
