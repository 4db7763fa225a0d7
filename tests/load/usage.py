"""What processes use, looked at from outside: the most memory they held, and cores."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

LOOK_EVERY = 0.2  # seconds
MEGABYTE = 1024 * 1024


@dataclass
class Usage:
    """By word: of those of our descendants whose command line contains it, all together."""

    megabytes: dict[str, float] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)
    """One is a core that is always busy."""


@contextmanager
def used_by(*words: str) -> Iterator[Usage]:
    found, over = Usage(), threading.Event()
    thread = threading.Thread(target=_look, args=(words, found, over), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _look(words: Sequence[str], found: Usage, over: threading.Event) -> None:
    spent: dict[psutil.Process, tuple[str, float, float]] = {}
    began = time.monotonic()
    while not over.wait(LOOK_EVERY):
        held = dict.fromkeys(words, 0.0)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                word = next((w for w in words if w in " ".join(process.cmdline())), None)
                if word is None:
                    continue
                times = process.cpu_times()
                seconds = times.user + times.system
                held[word] += process.memory_info().rss / MEGABYTE
                _, first, _ = spent.setdefault(process, (word, seconds, seconds))
                spent[process] = (word, first, seconds)
        for word in words:
            found.megabytes[word] = max(found.megabytes.get(word, 0.0), held[word])
    for word in words:
        seconds = sum(last - first for name, first, last in spent.values() if name == word)
        found.cores[word] = seconds / (time.monotonic() - began)
