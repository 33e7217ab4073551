"""The conversation between service and child: exact messages only, within limits."""

import struct

import pytest

from models.protocol import (
    HEADER_BYTES,
    MAX_FRAME,
    Chat,
    ChatMessage,
    Generate,
    ProtocolError,
    Raw,
    Text,
    decode_event,
    decode_request,
    encode,
    frame_length,
)


def test_a_message_arrives_as_it_was_sent() -> None:
    message = Generate(
        id=3, prompt=Chat(messages=(ChatMessage(role="user", content="☃\0"),)), max_tokens=5, stop=("a",)
    )
    frame = encode(message)
    assert frame_length(frame[:HEADER_BYTES]) == len(frame) - HEADER_BYTES
    assert decode_request(frame[HEADER_BYTES:]) == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"type":"text","id":1}',
        b'{"type":"text","id":1,"text":"a","more":1}',
        b'{"type":"generate"}',
        b"\xff",
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_event(body)


def test_an_event_is_no_request() -> None:
    with pytest.raises(ProtocolError):
        decode_request(encode(Text(id=1, text="a"))[HEADER_BYTES:])


def test_frames_over_the_limit_are_neither_sent_nor_awaited() -> None:
    with pytest.raises(ProtocolError):
        encode(Generate(id=1, prompt=Raw(text="x" * MAX_FRAME)))
    with pytest.raises(ProtocolError):
        frame_length(struct.pack(">I", MAX_FRAME + 1))


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert ChatMessage(role="user", content="a\udc80b").content == "a?b"
