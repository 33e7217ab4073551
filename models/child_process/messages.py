"""The messages between the service and a model's child process.

Rule: a frame is a big-endian 32-bit length and that many bytes of JSON, never pickle. Both ends refuse frames over the
limit and anything that is not exactly one of these messages. The service sends `Request`s, the child sends `Event`s.
The service chooses the ids; each is unique within one child's life.
"""

import os
import struct
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from models.types import (
    MOST_LOGPROBS,
    ChatMessage,
    GenerationRequest,
    LoadSettings,
    TemplateSource,
    TokenLogprob,
    Usage,
    UserText,
    Value,
)

MAX_FRAME: Final = 16 * 1024 * 1024  # bytes
_LENGTH: Final = struct.Struct(">I")
HEADER_BYTES: Final = _LENGTH.size


class ProtocolError(Exception):
    """The other side sent something that is not a message. The connection cannot be used any more."""


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]


class Chat(Value):
    """A prompt that the model's chat template makes from messages. Control tokens written in a content stay plain text."""

    kind: Literal["chat"] = "chat"
    messages: tuple[ChatMessage, ...] = Field(min_length=1)


class Raw(Value):
    """A prompt used as it is. `bos` puts the model's begin token in front; `special` reads control tokens in it."""

    kind: Literal["raw"] = "raw"
    text: UserText
    bos: bool = True
    special: bool = False


Prompt = Annotated[Chat | Raw, Field(discriminator="kind")]


class AdapterUse(Value):
    """A LoRA adapter for one request; `key` is the hash of its content."""

    key: str
    path: str  # see path_text
    scale: float = Field(allow_inf_nan=False)


class Load(Value):
    type: Literal["load"] = "load"
    path: str  # see path_text
    settings: LoadSettings


class Generate(Value):
    """Asks for one answer, with these adapters."""

    type: Literal["generate"] = "generate"
    id: int
    request: GenerationRequest
    adapters: tuple[AdapterUse, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        asked = self.request
        if asked.prompt is None and not asked.messages:
            raise ValueError("neither a prompt nor messages")
        if asked.max_tokens is not None and asked.max_tokens < 1:
            raise ValueError("max_tokens below 1")
        if asked.logprobs is not None and not 0 <= asked.logprobs <= MOST_LOGPROBS:
            raise ValueError(f"logprobs outside 0 to {MOST_LOGPROBS}")
        return self

    @property
    def prompt(self) -> Prompt:
        if self.request.prompt is not None:
            return Raw(text=self.request.prompt)
        return Chat(messages=self.request.messages)


class Count(Value):
    type: Literal["count"] = "count"
    id: int
    prompt: Prompt


class Cancel(Value):
    type: Literal["cancel"] = "cancel"
    id: int


class Trim(Value):
    """Frees memory: these adapters, by key, as soon as no request uses them, and the KV outside the cells that exceeds
    `cache_bytes`. Answered by `Trimmed`.
    """

    type: Literal["trim"] = "trim"
    id: int
    adapters: tuple[str, ...] = ()
    cache_bytes: int | None = Field(default=None, ge=0)


class Loaded(Value):
    """The model is ready. `context` is the most tokens of one request, not more than the settings asked for."""

    type: Literal["loaded"] = "loaded"
    context: int = Field(ge=1)
    template: TemplateSource
    system_role: Literal["native", "merged"]
    seconds: Seconds


class Failed(Value):
    """The model could not be loaded. The child ends after sending this."""

    type: Literal["failed"] = "failed"
    why: UserText
    hint: UserText


class Started(Value):
    """Decoding of the prompt starts. `dropped` messages were left out of it."""

    type: Literal["started"] = "started"
    id: int
    prompt_tokens: int = Field(ge=0)
    dropped: int = Field(default=0, ge=0)


class Text(Value):
    type: Literal["text"] = "text"
    id: int
    text: str = Field(max_length=1 << 20)
    logprobs: tuple[TokenLogprob, ...] = ()


class Finished(Value):
    """The end of an answer. Of `drafted` speculative tokens, `accepted` were right. Times in seconds."""

    type: Literal["finished"] = "finished"
    id: int
    reason: Literal["stop", "length"]
    usage: Usage
    prefill_s: Seconds
    decode_s: Seconds
    drafted: int = Field(default=0, ge=0)
    accepted: int = Field(default=0, ge=0)


RefusedKind = Literal["ContextOverflow", "InvalidPrompt", "InvalidModelFile"]


class Refused(Value):
    """This request was refused. Others continue."""

    type: Literal["refused"] = "refused"
    id: int
    kind: RefusedKind
    what: UserText
    why: UserText
    hint: UserText


class Counted(Value):
    type: Literal["counted"] = "counted"
    id: int
    tokens: int = Field(ge=0)


class Trimmed(Value):
    """Bytes that adapters and KV outside the cells hold now."""

    type: Literal["trimmed"] = "trimmed"
    id: int
    adapters: Bytes
    cache: Bytes


class Alive(Value):
    """Sent about once a second while there is work, to distinguish a slow child from one that hangs."""

    type: Literal["alive"] = "alive"


Request = Load | Generate | Count | Cancel | Trim
Event = Loaded | Failed | Started | Text | Finished | Refused | Counted | Trimmed | Alive

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])
_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def path_text(path: Path) -> str:
    """Writes a path with one character for each byte, since JSON cannot hold a path that is not UTF-8."""
    return os.fsencode(path).decode("latin-1")


def path_bytes(text: str) -> bytes:
    """Returns the bytes of a path that `path_text` wrote."""
    return text.encode("latin-1")


def encode(message: Request | Event) -> bytes:
    """Returns one frame. Raises ProtocolError if the message is over the limit or contains text that is not Unicode."""
    try:
        body = message.model_dump_json().encode()
    except ValueError as error:  # lone surrogates
        raise ProtocolError(f"a message of type {message.type} holds text that is not Unicode") from error
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a message of type {message.type} takes {len(body)} bytes, the limit is {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def frame_length(header: bytes) -> int:
    """Returns the length of the body after this header. Raises ProtocolError over the limit."""
    length: int = _LENGTH.unpack(header)[0]
    if length > MAX_FRAME:
        raise ProtocolError(f"a frame of {length} bytes was announced, the limit is {MAX_FRAME}")
    return length


def decode_request(body: bytes) -> Request:
    """Raises ProtocolError if the body is not a request."""
    try:
        return _REQUESTS.validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"not a request: {error.errors(include_url=False, include_input=False)}") from error


def decode_event(body: bytes) -> Event:
    """Raises ProtocolError if the body is not an event."""
    try:
        return _EVENTS.validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"not an event: {error.errors(include_url=False, include_input=False)}") from error
