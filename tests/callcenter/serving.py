"""An ASGI application under uvicorn, in a thread, for the length of a block."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.processes import free_port
from tests.waiting import until


@contextmanager
def served(server: uvicorn.Server) -> Iterator[str]:
    """Its address; the server is asked to stop when the block ends."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), 20, "the server to start")
        assert server.started
        yield f"http://{server.config.host}:{server.config.port}"
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join(20)
        assert not thread.is_alive()


def bare_server(app: object) -> uvicorn.Server:
    config = uvicorn.Config(app, port=free_port(), log_config=None, log_level="warning")  # type: ignore[arg-type]
    return uvicorn.Server(config)
