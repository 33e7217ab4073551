"""The shapes of OpenAI's routes, as far as Docent supports them.

Requests ignore unknown fields, as OpenAI's clients send many; `api.openai.requests` refuses those that would change the
answer.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from appliance.wire import ErrorBody, Reply, Seed, Stop, Usage
from appliance.wire.base import Bounded, Items

_MOST_BIASED = 1024
_MOST_TEXTS = 2048
"""Of one request, as at OpenAI."""


def _few(values: object) -> object:
    """Checks the length before the items: each wrong item would be an error of its own."""
    if isinstance(values, dict) and len(values) > _MOST_BIASED:
        raise ValueError(f"more than {_MOST_BIASED} tokens")
    return values


class OpenAIRequest(Bounded):
    """Base of what OpenAI's clients send: unknown fields are ignored, and null means that a field is absent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, values: Any) -> Any:
        return (
            {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else values
        )


class TextPart(OpenAIRequest):
    """A part of a message. Images, sound and files are refused: an answer that ignored them would mislead."""

    type: Literal["text"]
    text: str


class ChatMessage(OpenAIRequest):
    """One OpenAI chat message; content is text or a list of text parts."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[Items[TextPart], Field(max_length=1024)] = ""

    def text(self) -> str:
        """Join the message's text parts."""
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(OpenAIRequest):
    """What a stream includes besides the text."""

    include_usage: bool = False


class NamedSchema(OpenAIRequest):
    """A JSON schema in OpenAI's wrapping; it is always enforced, `strict` or not."""

    name: str = ""
    json_schema: dict[str, Any] | bool = Field(default_factory=dict, alias="schema")


class ResponseFormat(OpenAIRequest):
    """Text, any JSON object, or JSON that satisfies a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


class Sampling(OpenAIRequest):
    """The fields common to both kinds of completion request."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    seed: Seed | None = None
    stop: Stop | Annotated[Items[Stop], Field(max_length=16)] | None = None
    n: int = Field(default=1, ge=1, le=16)
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    logit_bias: Annotated[
        dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]],
        BeforeValidator(_few),
    ] = Field(default_factory=dict, max_length=_MOST_BIASED)
    response_format: ResponseFormat | None = None
    top_k: int | None = Field(default=None, ge=0, lt=2**31)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repeat_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    grammar: str | None = Field(default=None, max_length=256 * 1024)
    overflow: Literal["refuse", "drop_oldest"] = "refuse"


class ChatRequest(Sampling):
    """`POST /v1/chat/completions`."""

    messages: Items[ChatMessage] = Field(min_length=1, max_length=4096)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)


class CompletionRequest(Sampling):
    """`POST /v1/completions`."""

    prompt: str | Annotated[Items[str], Field(max_length=_MOST_TEXTS)]
    logprobs: int | None = Field(default=None, ge=0, le=20)


class ChunkChoice(Reply):
    """The text that a chunk of a streamed completion adds, or the reason why it ended."""

    text: str = ""
    finish_reason: str | None = None


class CompletionChunk(Reply):
    """One chunk of a streamed `POST /v1/completions`; the last one has `usage` and Docent's own part."""

    choices: list[ChunkChoice] = Field(default_factory=list)
    usage: Usage | None = None
    docent: dict[str, Any] | None = None
    error: ErrorBody | None = None


class EmbeddingsRequest(OpenAIRequest):
    """`POST /v1/embeddings`."""

    input: str | Annotated[Items[str], Field(max_length=_MOST_TEXTS)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
