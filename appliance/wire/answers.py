"""Questions and their answers, whole or as a stream of events."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from appliance.wire.base import Items, Reply, Request
from appliance.wire.errors import ErrorBody
from appliance.wire.search import Passage, Query

FinishReason = Literal["stop", "length", "error"]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = Annotated[str, Field(min_length=1, max_length=1024)]


class AdapterUse(Request):
    """A LoRA adapter and its scale."""

    id: str
    scale: float = Field(default=1.0, allow_inf_nan=False)


class AskRequest(Request):
    """A question to the documents."""

    question: Query
    model: str | None = None
    adapters: Items[AdapterUse] = Field(default_factory=list, max_length=64)
    collection: str | None = None
    stream: bool = False
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """The configured value if null. This and the fields below do not apply to quoted answers."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    seed: Seed | None = None
    stop: Items[Stop] = Field(default_factory=list, max_length=16)


class Citation(Reply):
    """The source of a part of the answer: `quote` is the page's own text, boxes are [page, x0, y0, x1, y1] in points."""

    marker: str
    document: str
    page: int
    quote: str
    supported: bool
    score: float
    chunk_id: str
    boxes: list[tuple[int, float, float, float, float]]


class Fallback(Reply):
    """The model that should have answered, and why another did."""

    from_: str = Field(alias="from")
    reason: str
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class PromptDetails(Reply):
    """`cached_tokens` are prompt tokens that did not have to be processed again."""

    cached_tokens: int = 0


class Usage(Reply):
    """Token counts of the prompt and the answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptDetails = PromptDetails()


class Answer(Reply):
    """A complete answer; `model` is `extractive` if no language model took part. `timings` in seconds."""

    question: str
    answer: str
    citations: list[Citation]
    model: str
    adapters: list[AdapterUse]
    fallback: Fallback | None = None
    finish_reason: FinishReason
    error: ErrorBody | None = None
    """Why the answer ended early, if `finish_reason` is `error`."""
    usage: Usage
    timings: dict[str, float]


class PassagesEvent(Reply):
    """First event of a streamed answer: the passages to answer from, in the order of the markers [1], [2], …"""

    type: Literal["passages"] = "passages"
    passages: list[Passage]


class TokenEvent(Reply):
    """The next piece of the answer's text."""

    type: Literal["token"] = "token"
    text: str


class ErrorEvent(Reply):
    """The answer ended early; a `done` event with `finish_reason` `error` follows."""

    type: Literal["error"] = "error"
    error: ErrorBody


class DoneEvent(Answer):
    """Last event of a streamed answer: the whole answer."""

    type: Literal["done"] = "done"


AskEvent = PassagesEvent | TokenEvent | ErrorEvent | DoneEvent
