"""The service under uvicorn, quick to stop."""

from contextlib import suppress
from types import FrameType

import uvicorn

from callcenter.speech.service import SpeechService


def serve(service: SpeechService, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT."""
    with suppress(KeyboardInterrupt):
        server(service, host, port).run()


def server(service: SpeechService, host: str, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        service,
        host=host,
        port=port,
        access_log=False,
        # Its messages go where ours go.
        log_config=None,
        log_level="warning",
        server_header=False,
        # For uploads that are not done; whoever waits for an answer has got a 503 by then.
        timeout_graceful_shutdown=1,
    )
    return _Server(config, service)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: SpeechService) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._service.let_go()
