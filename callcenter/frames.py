"""uvicorn's sockets, with a short way for the frames of PBXs.

A PBX sends fifty small frames a second and call; through the library, its events, a queue and the
task of the application each costs many times what is done with it. So the whole frames of data
that stand in what was just read are unmasked here and handed over at once. Control frames are left
to the library; so is, for good, all that comes from the first frame on that is neither.
"""

from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.speedups import apply_mask

from calls.api.pbx.extension import FRAMES

TEXT, BINARY = 0x81, 0x82  # a message in one frame
CLOSE, PING, PONG = 0x88, 0x89, 0x8A
# Bytes of a frame that goes the short way.
LONGEST = {TEXT: 16_384, BINARY: 16_384, CLOSE: 125, PING: 125, PONG: 125}
MASKED, TWO_BYTES, EIGHT_BYTES = 0x80, 126, 127  # of the byte with the length
STALL = 2.0  # seconds for what came during a stall of ours to be read

Take = Callable[[bytes | str], None]


class SocketProtocol(WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take: Take | None = None
        self._rest = b""
        self._is_plain = True
        self._reads = self._reads_at_ping = 0

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][FRAMES] = self._hand_over  # type: ignore[assignment]

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        # An upgrade that was refused is complete: without this each one is an error in the log.
        self.handshake_complete = self.handshake_complete or self.close_sent

    def _hand_over(self, take: Take) -> None:
        """Frames go to `take` from now on, in the call that reads them."""
        self._take = take

    def data_received(self, data: bytes) -> None:
        self._reads += 1
        if self._take is None:
            # The first read is the request; who sends more before the answer is no PBX.
            self._is_plain = self._reads == 1
        elif self._is_plain:
            self._rest = data = self._short_way(self._rest + data if self._rest else data)
            if self._is_plain:
                return
            self._rest = b""
        super().data_received(data)
        if self.conn.handshake_exc and not self.handshake_initiated:
            self._refuse_head()

    def _refuse_head(self) -> None:
        """What the library says to whoever sends too much before the upgrade, it leaves unsent."""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def _short_way(self, data: bytes) -> bytes:
        """Hands over the whole frames; what is left, to be read on with or by the library."""
        assert self._take is not None
        at, end = 0, len(data)
        while end - at >= 2:
            kind, length, start = data[at], data[at + 1] - MASKED, at + 6
            if length == TWO_BYTES and end - at >= 4:
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 8
            if length == EIGHT_BYTES or not 0 <= length <= LONGEST.get(kind, -1):
                self._is_plain = False
                break
            if start + length > end:
                break
            if kind == BINARY:
                self._take(apply_mask(data[start : start + length], data[start - 4 : start]))
            elif not self._seldom(kind, data[at : start + length], start - at):
                break
            at = start + length
        return data[at:]

    def _seldom(self, kind: int, frame: bytes, start: int) -> bool:
        """A frame other than audio; False where the library has to read on."""
        assert self._take is not None
        if kind == TEXT:
            try:
                self._take(apply_mask(frame[start:], frame[start - 4 : start]).decode())
            except UnicodeDecodeError:
                self._is_plain = False
            return self._is_plain
        super().data_received(frame)
        self._is_plain = kind != CLOSE
        return True

    # Pings ---------------------------------------------------------------------------------------

    def send_keepalive_ping(self) -> None:
        self._reads_at_ping = self._reads
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """The answer may have come during a stall of ours, and wait to be read."""
        self.pong_timer = self.loop.call_later(STALL, self._lose_patience)

    def _lose_patience(self) -> None:
        self.pong_timer = None
        if self._reads == self._reads_at_ping:
            super().keepalive_timeout()
        else:
            self.pending_ping_payload = None
            self.schedule_ping()
