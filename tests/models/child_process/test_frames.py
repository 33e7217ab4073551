import asyncio
import socket
import struct

import pytest

from models.child_process.frames import FrameProtocol
from models.child_process.messages import MAX_FRAME, ProtocolError


class Conversation:
    """A protocol on one end of a socket pair, the other end in the test's hand."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.other, self._ours = socket.socketpair()
        self._ours.setblocking(False)

    async def begin(self) -> FrameProtocol:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(lambda: FrameProtocol(self._hear), sock=self._ours)
        return protocol

    def _hear(self, body: bytes) -> None:
        if body == b"odd":
            raise ProtocolError("odd")
        self.heard.append(body)


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


async def test_frames_are_heard_whole_and_in_order_however_they_come() -> None:
    bodies = [b"", b"a", b"b" * 300, b"c" * 70_000]
    for size in (1, 3, 4, 1000, 1 << 20):
        talk = Conversation()
        protocol = await talk.begin()
        sent = b"".join(map(frame, bodies))
        for start in range(0, len(sent), size):
            protocol.data_received(sent[start : start + size])
        assert talk.heard == bodies
        talk.other.close()
        assert await protocol.closed is None


async def test_what_is_wrong_ends_the_conversation_and_nothing_after_it_is_heard() -> None:
    talk = Conversation()
    protocol = await talk.begin()
    talk.other.sendall(frame(b"good") + frame(b"odd") + frame(b"late"))
    assert str(await protocol.closed) == "odd"
    assert talk.heard == [b"good"]
    talk.other.setblocking(False)
    assert await asyncio.get_running_loop().sock_recv(talk.other, 1) == b""
    talk.other.close()


async def test_a_frame_over_the_limit_is_refused_before_it_has_come() -> None:
    talk = Conversation()
    protocol = await talk.begin()
    talk.other.sendall(struct.pack(">I", MAX_FRAME + 1))
    assert "the limit is" in str(await protocol.closed)
    talk.other.close()


async def test_a_cut_off_frame_is_not_heard() -> None:
    talk = Conversation()
    protocol = await talk.begin()
    talk.other.sendall(frame(b"good") + frame(b"cut off")[:-1])
    talk.other.close()
    assert await protocol.closed is None
    assert talk.heard == [b"good"]


@pytest.mark.parametrize("size", [1, 1 << 20])
async def test_what_is_written_arrives_whole(size: int) -> None:
    talk = Conversation()
    protocol = await talk.begin()
    talk.other.setblocking(False)
    protocol.write(frame(b"x" * size))
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < size + 4:
        received += await loop.sock_recv(talk.other, 1 << 16)
    assert received == frame(b"x" * size)
    protocol.close()
    assert await loop.sock_recv(talk.other, 1) == b""
    talk.other.close()
