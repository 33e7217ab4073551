"""Values shared between rooms: how a model is loaded, what a request asks for, what it answers. No behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST_LOGPROBS: Final = 20  # OpenAI's own limit
_BESIDE_RUNNING: Final = 16  # drafted tokens in a batch, cached prefixes beside the running sequences. Chosen by eye.
KvType = Literal["f32", "f16", "q8_0", "q4_0"]
KV_BYTES: Final[Mapping[KvType, float]] = {"f32": 4.0, "f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Bytes of one value in a KV cache; the quantised types store blocks of 32 values with one 2-byte scale."""


def _unicode(text: object) -> object:
    """Replaces half a surrogate pair, which file names and broken clients can contain, by a question mark."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


UserText = Annotated[str, BeforeValidator(_unicode)]
ByteText = Annotated[str, Field(pattern="^[\x00-\xff]*$")]
"""One character for each byte, as `child_process.messages.path_text` writes it."""
Logprob = Annotated[float, Field(allow_inf_nan=False)]


class Value(BaseModel):
    """A frozen value. Refuses unknown fields, since it may come from another process."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LoadSettings(Value):
    """How a model is loaded.

    `context` is the most tokens of one request; all requests share `cells` tokens of KV. `cache_bytes` limits the KV of
    earlier prompts kept outside the cells. `template` replaces the chat template in the file.
    """

    context: int = Field(default=4096, ge=16)
    cells: int | None = Field(default=None, ge=16)
    parallel: int = Field(default=4, ge=1, le=64)
    batch: int = Field(default=128, ge=16, le=8192)
    threads: int = Field(default=2, ge=1, le=1024)
    kv_type: KvType = "f16"
    gpu_layers: int = Field(default=0, ge=0)
    cache_bytes: int = Field(default=0, ge=0)
    flash_attention: bool = True  # less memory, and other requests' cells cost no time; but llama.cpp sums in 16 bits
    template: str | None = None

    @property
    def outputs(self) -> int:
        """The most tokens of a batch after which the next one may be sampled.

        Each costs the vocabulary times 4 bytes, twice. The engine and the memory plan both count with this number.
        """
        return self.parallel + _BESIDE_RUNNING


class Sampling(Value):
    """How the next token is chosen. Temperature 0 takes the likeliest; without a seed every run differs.

    `top_k` 0 draws from the whole vocabulary, which costs milliseconds a token; 40 is llama.cpp's own default.
    The penalties count the last `penalty_tokens` tokens of prompt and answer. `logit_bias` adds to tokens' scores.
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


class ChatMessage(Value):
    """One turn of a conversation."""

    role: str = Field(pattern=r"^[a-z_]{1,32}$")
    content: UserText


class Usage(Value):
    """Exact token counts. The end-of-answer token is not counted as part of the answer.

    `cached_tokens` of the prompt were not processed, because their KV was still in memory.
    """

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cached_tokens: int = Field(default=0, ge=0)


class TokenLogprob(Value):
    """A token's bytes and natural-log probability, and the same for the likeliest in its place, likeliest first."""

    data: ByteText
    logprob: Logprob
    top: tuple[tuple[ByteText, Logprob], ...] = ()


TemplateSource = Literal["gguf", "chatml", "configured"]
GREEDY: Final = Sampling()


class GenerationRequest(Value):
    """What one answer is made from: chat `messages` or a raw `prompt`; control tokens in either are plain text.

    Without `max_tokens` the answer may fill the context. At most one of `grammar` (GBNF) and `json_schema` (a schema's
    text) is given. `logprobs` is the number of likeliest tokens reported beside each chosen one, 0 to MOST_LOGPROBS.
    `overflow`: a chat that does not fit is refused, or loses its oldest turns, but never its system messages nor its
    last turn. `speculate` allows drafted tokens. KV of another `scope` is never used.
    """

    messages: tuple[ChatMessage, ...] = ()
    prompt: UserText | None = None
    max_tokens: int | None = None
    sampling: Sampling = GREEDY
    stop: tuple[UserText, ...] = ()
    grammar: UserText | None = None
    json_schema: UserText | None = None
    logprobs: int | None = None
    overflow: Literal["refuse", "drop_oldest"] = "refuse"
    speculate: bool = True
    scope: str = ""


@dataclass(frozen=True, slots=True)
class TextPiece:
    """The next text of an answer, in whole characters. Empty only if it carries `logprobs` of tokens without text."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class FinalPiece:
    """The end of an answer, always the last piece. Times in seconds.

    Of `drafted` speculative tokens, `accepted` were right. `dropped` messages of the chat were left out.
    """

    finish_reason: Literal["stop", "length"]
    usage: Usage
    prefill_s: float
    decode_s: float
    drafted: int = 0
    accepted: int = 0
    dropped: int = 0


Piece = TextPiece | FinalPiece


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """A LoRA adapter of a request; its weights are multiplied by `scale`."""

    id: str
    scale: float = 1.0
