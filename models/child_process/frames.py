"""The service's end of a child's socket: turns bytes into whole frames as they arrive.

A protocol, not a stream: a stream wakes a task twice for each frame, and every wake-up takes time from a core that is
decoding the next token.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from models.child_process.messages import HEADER_BYTES, ProtocolError, frame_length


class FrameProtocol(asyncio.Protocol):
    """Calls `on_frame` with the body of each frame. Closes the socket at the first invalid one."""

    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        """`on_frame` may raise ProtocolError, which closes the socket too."""
        self._on_frame = on_frame
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[ProtocolError | None] = asyncio.get_running_loop().create_future()
        """Done when no more frames will come. Its result is the error of an invalid frame, or None."""

    def write(self, frame: bytes) -> None:
        """Sends a frame. Drops it if the socket is closed."""
        if self._transport is not None:
            self._transport.write(frame)

    def close(self) -> None:
        """Closes the socket. No further frame is read."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        begin = 0
        try:
            while not self.closed.done() and (body := self._body(begin)) is not None:
                begin += HEADER_BYTES + len(body)
                self._on_frame(body)
        except ProtocolError as error:
            self.closed.set_result(error)
            self.close()
        del self._buffer[:begin]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def _body(self, begin: int) -> bytes | None:
        """Returns the body of the frame at `begin`, None until all of it has arrived."""
        start = begin + HEADER_BYTES
        if len(self._buffer) < start:
            return None
        end = start + frame_length(bytes(self._buffer[begin:start]))
        return bytes(self._buffer[start:end]) if len(self._buffer) >= end else None
