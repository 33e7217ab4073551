"""Frames arrive whole, whatever the other side sends."""

import asyncio
import socket
import struct

import pytest

from models.child_process.frames import FrameProtocol
from models.child_process.messages import MAX_FRAME, ProtocolError


class Connection:
    """A protocol on one end of a socket pair; the test holds `other`."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.other, self._ours = socket.socketpair()
        self._ours.setblocking(False)

    async def begin(self) -> FrameProtocol:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(lambda: FrameProtocol(self._on_frame), sock=self._ours)
        return protocol

    def _on_frame(self, body: bytes) -> None:
        if body == b"odd":
            raise ProtocolError("odd")
        self.received.append(body)


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


async def test_frames_arrive_whole_and_in_order_however_the_bytes_are_split() -> None:
    bodies = [b"", b"a", b"b" * 300, b"c" * 70_000]
    for size in (1, 3, 4, 1000, 1 << 20):
        connection = Connection()
        protocol = await connection.begin()
        sent = b"".join(map(frame, bodies))
        for start in range(0, len(sent), size):
            protocol.data_received(sent[start : start + size])
        assert connection.received == bodies
        connection.other.close()
        assert await protocol.closed is None


async def test_an_invalid_frame_closes_the_socket_and_no_later_frame_is_read() -> None:
    connection = Connection()
    protocol = await connection.begin()
    connection.other.sendall(frame(b"good") + frame(b"odd") + frame(b"late"))
    assert str(await protocol.closed) == "odd"
    assert connection.received == [b"good"]
    connection.other.setblocking(False)
    assert await asyncio.get_running_loop().sock_recv(connection.other, 1) == b""
    connection.other.close()


async def test_a_frame_over_the_limit_is_refused_before_it_arrives() -> None:
    connection = Connection()
    protocol = await connection.begin()
    connection.other.sendall(struct.pack(">I", MAX_FRAME + 1))
    assert "the limit is" in str(await protocol.closed)
    connection.other.close()


async def test_an_incomplete_frame_is_dropped() -> None:
    connection = Connection()
    protocol = await connection.begin()
    connection.other.sendall(frame(b"good") + frame(b"cut off")[:-1])
    connection.other.close()
    assert await protocol.closed is None
    assert connection.received == [b"good"]


@pytest.mark.parametrize("size", [1, 1 << 20])
async def test_a_written_frame_arrives_whole(size: int) -> None:
    connection = Connection()
    protocol = await connection.begin()
    connection.other.setblocking(False)
    protocol.write(frame(b"x" * size))
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < size + 4:
        received += await loop.sock_recv(connection.other, 1 << 16)
    assert received == frame(b"x" * size)
    protocol.close()
    assert await loop.sock_recv(connection.other, 1) == b""
    connection.other.close()
