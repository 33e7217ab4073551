"""Identifies callers: an HTTP protocol that puts the process the kernel reports into each request's state.

`SO_PEERCRED` gives pid, uid and primary gid as of `connect()`, `SO_PEERGROUPS` the supplementary groups.
"""

import array
import errno
import socket
import struct
from asyncio import TimerHandle, Transport
from typing import Annotated, ClassVar

import h11
from fastapi import Depends, Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.api.errors import malformed, too_many_clients
from appliance.library.collection_rights import Peer

_SO_PEERGROUPS = 59
_UCRED = struct.Struct("3i")


def peer_of(connection: socket.socket) -> Peer:
    """Return the process at the other end of a Unix socket.

    Raises:
        OSError: the socket is not a connected Unix socket.
    """
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid, frozenset(_peer_groups(connection)) | {gid})


def _peer_groups(connection: socket.socket) -> "array.array[int]":
    size = 256
    while True:
        groups = array.array("I")
        try:
            groups.frombytes(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, size))
        except OSError as error:
            if error.errno != errno.ERANGE or size > 1 << 20:
                raise
            size *= 4
        else:
            return groups


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP protocol; adds `request.state.peer`, and disconnects clients that stop reading their reply."""

    stalled_seconds: ClassVar[float] = 60.0
    """A client whose buffers stay full this long is disconnected: it holds a model and the text generated for it.
    Chosen by eye."""
    _stall_timer: TimerHandle | None = None

    def pause_writing(self) -> None:
        """Start the timer: the client reads more slowly than its reply is written."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer: the client reads again."""
        self._stop_stall_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer: the client has disconnected."""
        self._stop_stall_timer()
        super().connection_lost(exc)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Ask the kernel for the peer, once per connection; a connection whose peer is already gone is closed."""
        connection = transport.get_extra_info("socket")
        try:
            peer = peer_of(connection)
        except OSError:
            transport.abort()
            return
        self.app_state = {**self.app_state, "peer": peer}
        super().connection_made(transport)
        most, self.limit_concurrency = self.limit_concurrency, None  # uvicorn's own refusal is plain text
        if most is not None and len(self.connections) > most:
            self.app = too_many_clients(most)

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP with an error in the usual shape; after a reply has begun, just disconnect."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            reply = malformed()
            for event in (
                h11.Response(status_code=reply.status_code, headers=reply.raw_headers),
                h11.Data(data=bytes(reply.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _request_peer(request: Request) -> Peer:
    peer: Peer = request.state.peer
    return peer


Caller = Annotated[Peer, Depends(_request_peer)]
"""Route parameter: the calling process."""
