"""How a web process takes its leave: it accepts nothing more and leaves nobody without an answer.

A connection that is kept alive may carry one more request, which may be on its way already; the
answer says that it was the last. Sockets are told to come back (1012), one after the other; those
of a PBX, which bring the audio of a call, not before the time is nearly up.
"""

import random
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER = 2.0  # seconds that an idle connection gets for one more request
SPREAD = 3.0  # seconds over which sockets are told, lest all come back at the same moment
PBX = "/pbx/"
GOODBYE = 2.0  # seconds that are left for the last packets of a PBX's socket


class PoliteHttp(HttpToolsProtocol):
    _leaving = False

    def shutdown(self) -> None:
        self._leaving = True
        if self._is_idle():
            self.loop.call_later(LINGER, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._leaving and self.cycle:
            self.cycle.keep_alive = False

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()


class PoliteSocket(WebSocketsSansIOProtocol):
    scope: Any = None

    def shutdown(self) -> None:
        self.loop.call_later(self._patience(), self._tell_to_come_back)

    def _patience(self) -> float:
        longest = max(settings.DRAIN_TIMEOUT - GOODBYE, 0.0)
        if self.scope and self.scope["path"].startswith(PBX):
            return longest
        return random.uniform(0, min(SPREAD, longest))

    def _tell_to_come_back(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()
