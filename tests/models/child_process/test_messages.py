"""Service and child exchange exact messages only, within limits."""

import json
import struct

import pytest

from models.child_process.messages import (
    HEADER_BYTES,
    MAX_FRAME,
    Generate,
    ProtocolError,
    Text,
    decode_event,
    decode_request,
    encode,
    frame_length,
)
from models.types import ChatMessage, GenerationRequest, TokenLogprob


def test_a_message_arrives_as_it_was_sent() -> None:
    chat = (ChatMessage(role="user", content="☃\0"),)
    message = Generate(id=3, request=GenerationRequest(messages=chat, max_tokens=5, stop=("a",)))
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


@pytest.mark.parametrize("request_", [{}, {"prompt": "a", "max_tokens": 0}, {"prompt": "a", "logprobs": 21}])
def test_a_generation_that_cannot_be_made_is_refused(request_: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_request(json.dumps({"type": "generate", "id": 1, "request": request_}).encode())


def test_an_event_is_not_a_request() -> None:
    with pytest.raises(ProtocolError):
        decode_request(encode(Text(id=1, text="a"))[HEADER_BYTES:])


def test_frames_over_the_limit_are_neither_sent_nor_awaited() -> None:
    with pytest.raises(ProtocolError):
        encode(Generate(id=1, request=GenerationRequest(prompt="x" * MAX_FRAME)))
    with pytest.raises(ProtocolError):
        frame_length(struct.pack(">I", MAX_FRAME + 1))


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert ChatMessage(role="user", content="a\udc80b").content == "a?b"


@pytest.mark.parametrize(
    "body",
    [
        '{"type":"trimmed","id":1,"adapters":-1,"cache":0}',
        '{"type":"trimmed","id":1,"adapters":0,"cache":-5}',
        '{"type":"trimmed","id":1,"adapters":0,"cache":1%s}' % ("0" * 30),
        '{"type":"loaded","context":0,"template":"gguf","system_role":"native","seconds":1}',
        '{"type":"loaded","context":64,"template":"gguf","system_role":"native","seconds":NaN}',
        '{"type":"loaded","context":64,"template":"gguf","system_role":"native","seconds":-1}',
        '{"type":"started","id":1,"prompt_tokens":-1}',
        '{"type":"counted","id":1,"tokens":-1}',
        '{"type":"finished","id":1,"reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":1},'
        '"prefill_s":Infinity,"decode_s":1}',
        '{"type":"text","id":1,"text":"a","logprobs":[{"data":"\u0100","logprob":-1}]}',
        '{"type":"text","id":1,"text":"a","logprobs":[{"data":"a","logprob":NaN}]}',
        '{"type":"text","id":1,"text":"a","logprobs":[{"data":"a","logprob":-1,"top":[["\u20ac",-1]]}]}',
        '{"type":"text","id":1,"text":"a","logprobs":[{"data":"a","logprob":-1,"top":[["a",-Infinity]]}]}',
    ],
)
def test_impossible_figures_are_refused(body: str) -> None:
    with pytest.raises(ProtocolError, match="not an event"):
        decode_event(body.encode())


def test_every_byte_of_a_token_arrives() -> None:
    every = "".join(map(chr, range(256)))
    event = Text(id=1, text="a", logprobs=(TokenLogprob(data=every, logprob=-1.5, top=((every, -1.5), ("\n", -2))),))
    assert decode_event(encode(event)[HEADER_BYTES:]) == event
