"""Whether announcements can come through, known within a moment, however briefly Redis is away."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from django.conf import settings

PAUSE = 0.25  # seconds between looks
ANSWER_WITHIN = 1.0  # seconds; a frozen Redis is as good as none
AWAY_FOR = 1.0  # seconds that a loss is told at least, so that everybody hears of it


class RedisWatch:
    """A thread that holds one connection while somebody listens: it breaks with the server."""

    def __init__(self, name: str = "redis watch") -> None:
        self.up = True
        self._name = name
        self._lock = threading.Condition()
        self._listeners: set[Callable[[], None]] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Calls it, from another thread, whenever `up` has changed while the block lasts."""
        with self._lock:
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.discard(listener)
                self._lock.notify_all()

    def _run(self) -> None:
        while self._wanted():
            try:
                self._hold()
            except redis.RedisError:
                self._tell(up=False)
                self._sleep(AWAY_FOR)

    def _wanted(self) -> bool:
        with self._lock:
            if not self._listeners:
                self._thread = None
            return self._thread is not None

    def _hold(self) -> None:
        """Until the connection breaks, or nobody listens."""
        pool = redis.ConnectionPool.from_url(
            settings.REDIS, socket_timeout=ANSWER_WITHIN, socket_connect_timeout=ANSWER_WITHIN
        )
        # A connection of the pool's client would silently come back after a restart.
        connection = pool.make_connection()
        try:
            while self._listeners:
                connection.send_command("PING")  # type: ignore[no-untyped-call]
                connection.read_response()
                self._tell(up=True)
                self._sleep(PAUSE)
        finally:
            connection.disconnect()  # type: ignore[no-untyped-call]

    def _tell(self, *, up: bool) -> None:
        with self._lock:
            listeners = list(self._listeners) if up != self.up else []
            self.up = up
        for listener in listeners:
            listener()

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            self._lock.wait_for(lambda: not self._listeners, timeout=seconds)


watch = RedisWatch()
