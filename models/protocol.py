"""What the service and a model's child process say to each other.

Rule: a frame is a big-endian 32-bit length and that many bytes of JSON, never pickle; both ends refuse frames over the
limit and anything that is not exactly one of these messages. The service sends `Request`s, the child sends `Event`s.
Ids are chosen by the service and are unique within one child's life.
"""

import os
import struct
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

MAX_FRAME: Final = 16 * 1024 * 1024
MOST_LOGPROBS: Final = 20
_LENGTH: Final = struct.Struct(">I")
HEADER_BYTES: Final = _LENGTH.size

KvType = Literal["f32", "f16", "q8_0", "q4_0"]


class ProtocolError(Exception):
    """The other side sent something that is not a message; the connection cannot be used any further."""


def _unicode(text: object) -> object:
    """Half a surrogate pair, as file names and broken clients bring it, becomes a question mark."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


UserText = Annotated[str, BeforeValidator(_unicode)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]
ByteText = Annotated[str, Field(pattern="^[\x00-\xff]*$")]
"""One character for each byte, as in path_text."""
Logprob = Annotated[float, Field(allow_inf_nan=False)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LoadSettings(_Message):
    """How a model is loaded. `context` is the most tokens of one request; all requests share `cells` tokens of KV.

    `cache_bytes` is the most memory for KV of earlier prompts outside the cells; `template` replaces the file's own.
    """

    context: int = Field(default=4096, ge=16)
    cells: int | None = Field(default=None, ge=16)
    parallel: int = Field(default=4, ge=1, le=64)
    batch: int = Field(default=128, ge=16, le=8192)
    threads: int = Field(default=2, ge=1, le=1024)
    kv_type: KvType = "f16"
    gpu_layers: int = Field(default=0, ge=0)
    cache_bytes: int = Field(default=0, ge=0)
    flash_attention: bool = True  # less memory, and cells of others cost no time; but llama.cpp sums in 16 bits
    template: str | None = None


class Sampling(_Message):
    """How the next token is chosen. Temperature 0 takes the likeliest; without a seed every run differs.

    `top_k` 0 draws from the whole vocabulary, which costs milliseconds a token; 40 is llama.cpp's own default.
    The penalties look at the last `penalty_tokens` tokens of prompt and answer. `logit_bias` adds to tokens' scores.
    """

    temperature: float = Field(default=0.0, ge=0.0, le=10.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=40, ge=0, lt=2**31)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repeat_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    penalty_tokens: int = Field(default=64, ge=0, le=1 << 20)
    logit_bias: tuple[tuple[int, float], ...] = Field(default=(), max_length=1024)
    seed: int | None = Field(default=None, ge=0, lt=2**32)


class ChatMessage(_Message):
    """One turn of a conversation."""

    role: str = Field(pattern=r"^[a-z_]{1,32}$")
    content: UserText


class Chat(_Message):
    """A prompt made from messages by the model's chat template; control tokens written in a content stay plain text."""

    kind: Literal["chat"] = "chat"
    messages: tuple[ChatMessage, ...] = Field(min_length=1)


class Raw(_Message):
    """A prompt as it stands. `bos` puts the model's begin token in front; `special` reads control tokens in it."""

    kind: Literal["raw"] = "raw"
    text: UserText
    bos: bool = True
    special: bool = False


Prompt = Annotated[Chat | Raw, Field(discriminator="kind")]


class AdapterUse(_Message):
    """A LoRA adapter for one request; `key` is the hash of its content."""

    key: str
    path: str  # see path_text
    scale: float = Field(allow_inf_nan=False)


class Load(_Message):
    type: Literal["load"] = "load"
    path: str  # see path_text
    settings: LoadSettings


class Generate(_Message):
    """One answer. `grammar` is GBNF, `json_schema` the text of a JSON schema: at most one of them. `logprobs` asks for
    that many of the likeliest tokens beside each chosen one. `overflow` tells what happens to a chat that does not fit:
    it is refused, or loses its oldest turns, but never its system messages nor its last turn. KV of another `scope` is
    never used.
    """

    type: Literal["generate"] = "generate"
    id: int
    prompt: Prompt
    max_tokens: int | None = Field(default=None, ge=1)
    sampling: Sampling = Sampling()
    stop: tuple[UserText, ...] = ()
    adapters: tuple[AdapterUse, ...] = ()
    grammar: UserText | None = None
    json_schema: UserText | None = None
    logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    overflow: Literal["refuse", "drop_oldest"] = "refuse"
    speculate: bool = True
    scope: str = ""


class Count(_Message):
    type: Literal["count"] = "count"
    id: int
    prompt: Prompt


class Cancel(_Message):
    type: Literal["cancel"] = "cancel"
    id: int


class Trim(_Message):
    """Give memory back: these adapters, by key, as soon as no request uses them, and KV outside the cells over
    `cache_bytes`. Answered by `Trimmed`.
    """

    type: Literal["trim"] = "trim"
    id: int
    adapters: tuple[str, ...] = ()
    cache_bytes: int | None = Field(default=None, ge=0)


class Usage(_Message):
    """Exact token counts. The end-of-answer token is not counted as part of the answer.

    `cached_tokens` of the prompt were not processed, because their KV was there.
    """

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cached_tokens: int = Field(default=0, ge=0)


class TokenLogprob(_Message):
    """A token's bytes, its natural-log probability, and likewise the likeliest tokens in its place, likeliest first."""

    data: ByteText
    logprob: Logprob
    top: tuple[tuple[ByteText, Logprob], ...] = ()


TemplateSource = Literal["gguf", "chatml", "configured"]


class Loaded(_Message):
    """The model is ready. `context` is what one request may use, at most what was asked for."""

    type: Literal["loaded"] = "loaded"
    context: int = Field(ge=1)
    template: TemplateSource
    system_role: Literal["native", "merged"]
    seconds: Seconds


class Failed(_Message):
    """The model could not be loaded; the child ends after it."""

    type: Literal["failed"] = "failed"
    why: UserText
    hint: UserText


class Started(_Message):
    """Work on the prompt begins; `dropped` messages were left out of it."""

    type: Literal["started"] = "started"
    id: int
    prompt_tokens: int = Field(ge=0)
    dropped: int = Field(default=0, ge=0)


class Text(_Message):
    type: Literal["text"] = "text"
    id: int
    text: str = Field(max_length=1 << 20)
    logprobs: tuple[TokenLogprob, ...] = ()


class Finished(_Message):
    """`drafted` tokens of the answer were guessed beforehand, `accepted` of them rightly. Times in seconds."""

    type: Literal["finished"] = "finished"
    id: int
    reason: Literal["stop", "length"]
    usage: Usage
    prefill_s: Seconds
    decode_s: Seconds
    drafted: int = Field(default=0, ge=0)
    accepted: int = Field(default=0, ge=0)


RefusedKind = Literal["ContextOverflow", "InvalidPrompt", "InvalidModelFile"]


class Refused(_Message):
    """This request was refused; others go on."""

    type: Literal["refused"] = "refused"
    id: int
    kind: RefusedKind
    what: UserText
    why: UserText
    hint: UserText


class Counted(_Message):
    type: Literal["counted"] = "counted"
    id: int
    tokens: int = Field(ge=0)


class Trimmed(_Message):
    """What adapters and KV outside the cells hold now, in bytes."""

    type: Literal["trimmed"] = "trimmed"
    id: int
    adapters: Bytes
    cache: Bytes


class Alive(_Message):
    """Sent about once a second while there is work, so that a hanging child can be told from a slow one."""

    type: Literal["alive"] = "alive"


Request = Load | Generate | Count | Cancel | Trim
Event = Loaded | Failed | Started | Text | Finished | Refused | Counted | Trimmed | Alive

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])
_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def path_text(path: Path) -> str:
    """A path for a message: each byte one character, as JSON cannot hold a path that is not UTF-8."""
    return os.fsencode(path).decode("latin-1")


def path_bytes(text: str) -> bytes:
    """The path that `path_text` wrote."""
    return text.encode("latin-1")


def encode(message: Request | Event) -> bytes:
    """One frame. Raises ProtocolError if the message is over the limit or holds text that is not Unicode."""
    try:
        body = message.model_dump_json().encode()
    except ValueError as error:  # lone surrogates
        raise ProtocolError(f"a message of type {message.type} holds text that is not Unicode") from error
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a message of type {message.type} takes {len(body)} bytes, the limit is {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def frame_length(header: bytes) -> int:
    """The length of the body after this header. Raises ProtocolError over the limit."""
    length: int = _LENGTH.unpack(header)[0]
    if length > MAX_FRAME:
        raise ProtocolError(f"a frame of {length} bytes was announced, the limit is {MAX_FRAME}")
    return length


def decode_request(body: bytes) -> Request:
    """Raises ProtocolError if it is none."""
    try:
        return _REQUESTS.validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"not a request: {error.errors(include_url=False, include_input=False)}") from error


def decode_event(body: bytes) -> Event:
    """Raises ProtocolError if it is none."""
    try:
        return _EVENTS.validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"not an event: {error.errors(include_url=False, include_input=False)}") from error
