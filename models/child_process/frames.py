"""The service's end of a child's socket: bytes in, whole frames out, as they come.

A protocol, not a stream: a stream wakes a task twice for each frame, and every wake-up takes its time from a core that
is decoding the next token.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from models.child_process.messages import HEADER_BYTES, ProtocolError, frame_length


class FrameProtocol(asyncio.Protocol):
    """Calls `hear` with the body of each frame. At the first one that is wrong, the conversation is over."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        """`hear` may raise ProtocolError, which ends the conversation too."""
        self._hear = hear
        self._held = bytearray()
        self._transport: asyncio.Transport | None = None
        self.over: asyncio.Future[ProtocolError | None] = asyncio.get_running_loop().create_future()
        """Set when nothing more will come: with what was wrong, None if the other side has gone."""

    def write(self, frame: bytes) -> None:
        """Send a frame; what cannot be sent any more is dropped."""
        if self._transport is not None:
            self._transport.write(frame)

    def close(self) -> None:
        """Hang up; nothing is heard from then on."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        begin = 0
        try:
            while not self.over.done() and (body := self._body(begin)) is not None:
                begin += HEADER_BYTES + len(body)
                self._hear(body)
        except ProtocolError as error:
            self.over.set_result(error)
            self.close()
        del self._held[:begin]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def _body(self, begin: int) -> bytes | None:
        """The frame that begins there, once all of it has come."""
        start = begin + HEADER_BYTES
        if len(self._held) < start:
            return None
        end = start + frame_length(bytes(self._held[begin:start]))
        return bytes(self._held[start:end]) if len(self._held) >= end else None
