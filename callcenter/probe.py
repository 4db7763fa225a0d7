"""Looks at what may hang, one look at a time, so that whoever asks is never held up by it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from django.db import connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper

log = logging.getLogger(__name__)

Found = TypeVar("Found")

FRESH = 1.0  # seconds that what was found is told again; many who ask are one look
BOUNDS = {
    "connect_timeout": 2,  # seconds
    # A host that vanished without a word is given up after these (seconds, but for the first).
    "tcp_user_timeout": 5000,  # milliseconds
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}


class Probe(Generic[Found]):
    """A thread that looks when it is asked; a look that hangs keeps it, and nobody else."""

    def __init__(self, look: Callable[[], Found], *, name: str) -> None:
        self._look = look
        self._name = name
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._found: Found | None = None
        self._at = -FRESH

    def ask(self) -> None:
        """Begins a look, unless one was done a moment ago."""
        with self._changed:
            if not self._is_fresh():
                self._wanted = True
                self._start()
                self._changed.notify_all()

    def answer(self, *, within: float) -> Found | None:
        """What was found; None where nothing was found in so many seconds."""
        with self._changed:
            self._changed.wait_for(self._is_fresh, timeout=within)
            return self._found if self._is_fresh() else None

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._at < FRESH

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                self._wanted = False
            found = self._looked()
            with self._changed:
                self._found, self._at = found, time.monotonic()
                self._changed.notify_all()

    def _looked(self) -> Found | None:
        try:
            return self._look()
        except Exception:
            # The thread must live: without it all would look dead.
            log.exception("the look of %s failed", self._name)
            return None


def use_own_connection() -> None:
    """This thread's connection is none of the pool, which hanging pages may have used up."""
    if getattr(connection, "is_of_a_probe", False):
        return
    given: dict[str, Any] = connections.settings["default"]
    options = {name: value for name, value in given["OPTIONS"].items() if name != "pool"}
    settings = {**given, "CONN_MAX_AGE": None, "OPTIONS": options | BOUNDS}
    own = DatabaseWrapper(settings, "default")
    own.is_of_a_probe = True  # type: ignore[attr-defined]
    connections["default"] = own


@contextmanager
def briefly(seconds: float) -> Iterator[None]:
    """A transaction in which the server ends each statement after so many seconds."""
    with transaction.atomic(), connection.cursor() as cursor:
        milliseconds = str(round(seconds * 1000))
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
        yield
