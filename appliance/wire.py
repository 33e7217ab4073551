"""The shapes of the socket API, shared by `api/` and `client.py`; those of OpenAI's routes are in `openai_wire`.

Imports nothing of ours. Requests forbid unknown fields, so that a misspelt option is an error and not silently dropped.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_QUERY_CHARS = 16_384
MAX_QUOTE_CHARS = 4000
"""It travels in the request's first line, which servers keep short."""
MAX_RESULTS = 200
LEAST_DPI, USUAL_DPI, MOST_DPI = 36, 144, 300
"""Of a page's picture."""

DocumentState = Literal["pending", "indexing", "indexed", "failed"]
FinishReason = Literal["stop", "length", "error"]
Query = Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]


Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = Annotated[str, Field(min_length=1, max_length=1024)]


def _unicode(text: object) -> object:
    """Half a surrogate pair, as file names and broken clients bring it, becomes a question mark."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


Told = Annotated[str, BeforeValidator(_unicode)]
"""Text that repeats what somebody sent."""


class Reply(BaseModel):
    """Base of everything the service sends; a client tolerates fields of a newer service."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(BaseModel):
    """Base of everything the service takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorBody(Reply):
    """What failed, its stable code, and what to do next."""

    message: Told
    type: str
    code: str
    hint: Told = ""


class ErrorReply(Reply):
    """Every failure has this shape."""

    error: ErrorBody


class DocumentCounts(Reply):
    """Documents by state."""

    indexed: int = 0
    indexing: int = 0
    pending: int = 0
    failed: int = 0


class Progress(Reply):
    """How the reading of all that is queued gets on: pages since it began, pages in all, how fast, how long.

    `estimated` says that files are among them whose pages are not counted yet: theirs are inferred from their size.
    What cannot be said yet is null.
    """

    pages_done: int
    pages_total: int
    pages_per_second: float | None = None
    seconds_left: float | None = None
    estimated: bool = False


class Embedding(Reply):
    """The embedding model that answers, None while the full text answers alone, and the one that is to take its place:
    `done` of `total` passages are embedded with that one. `remark` says what an administrator should know of it."""

    model: str | None
    target: str | None = None
    done: int = 0
    total: int = 0
    remark: str | None = None


class Status(Reply):
    """The service at a glance; `queue` counts the files not yet done, unsettled ones included."""

    ready: bool
    documents: DocumentCounts
    chunks: int
    queue: int
    models_loaded: list[str]
    version: str
    embedding: Embedding | None = None
    progress: Progress | None = None
    """While something is queued."""


class Sources(Reply):
    """Pages by where their text comes from: their own, recognised from their picture, nowhere though there is something
    on them, or nowhere as there is nothing."""

    text: int = 0
    ocr: int = 0
    skipped: int = 0
    empty: int = 0


class Reading(Reply):
    """How a document was read: its content and the versions of the code that read it, and what was found.

    `tables` counts the table rows in its passages, null where that was not counted yet. Author, language and dates are
    what the document says of itself.
    """

    sha256: str
    extractor: int
    chunker: int
    template: int
    complete: bool
    sources: Sources
    tables: int | None = None
    author: str | None = None
    language: str | None = None
    created: str | None = None
    modified: str | None = None
    warnings: list[str] = Field(default_factory=list)


class Document(Reply):
    """One file of the library; `document` is its path relative to `library/`, `modified` RFC 3339 in UTC."""

    id: str
    document: str
    collection: str
    state: DocumentState
    reason: str | None = None
    hint: str | None = None
    title: str | None = None
    pages: int | None = None
    pages_done: int = 0
    rate: float | None = None
    """Pages a second, while it is being read and as soon as that can be said; so is the next."""
    seconds_left: float | None = None
    chunks: int = 0
    size: int
    modified: str
    attempts: int = 0
    next_attempt: str | None = None
    reading: Reading | None = None
    """Only where one document was asked for, and something of it has been read."""


class DocumentList(Reply):
    """A page of documents; `next` is the cursor of the next page."""

    documents: list[Document]
    next: str | None = None


class DocumentAdded(Reply):
    """The name a file got in the library."""

    document: str
    collection: str
    size: int
    replaced: bool = False


class SearchRequest(Request):
    """A search over all collections the caller may see, or one of them."""

    query: Query
    k: int = Field(default=5, ge=1, le=MAX_RESULTS)
    collection: str | None = None


class Passage(Reply):
    """One passage found; the higher the score the better, comparable within one reply only."""

    document: str
    collection: str
    page: int
    page_last: int
    heading: list[str]
    text: str
    score: float
    chunk_id: str


class SearchReply(Reply):
    """Passages, best first; `timings` in seconds."""

    query: str
    results: list[Passage]
    timings: dict[str, float]


class AdapterUse(Request):
    """A LoRA adapter and its scale."""

    id: str
    scale: float = Field(default=1.0, allow_inf_nan=False)


class AskRequest(Request):
    """A question to be answered from the documents."""

    question: Query
    model: str | None = None
    adapters: list[AdapterUse] = Field(default_factory=list)
    collection: str | None = None
    stream: bool = False
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """As configured, unless given; quoted answers know of neither this nor what follows."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    seed: Seed | None = None
    stop: list[Stop] = Field(default_factory=list, max_length=16)


class Citation(Reply):
    """Where a part of the answer stands; `quote` is the page's own text; boxes are [page, x0, y0, x1, y1] in points."""

    marker: str
    document: str
    page: int
    quote: str
    supported: bool
    score: float
    chunk_id: str
    boxes: list[tuple[int, float, float, float, float]]


class Fallback(Reply):
    """Who should have answered, and why another did."""

    from_: str = Field(alias="from")
    reason: str
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class PromptDetails(Reply):
    """`cached_tokens` of the prompt were not processed anew."""

    cached_tokens: int = 0


class Usage(Reply):
    """Tokens of the prompt and of the answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptDetails = PromptDetails()


class Answer(Reply):
    """A complete answer; `model` is `extractive` where no language model took part."""

    question: str
    answer: str
    citations: list[Citation]
    model: str
    adapters: list[AdapterUse]
    fallback: Fallback | None = None
    finish_reason: FinishReason
    error: ErrorBody | None = None
    """Why it broke off, where `finish_reason` is `error`."""
    usage: Usage
    timings: dict[str, float]


class PassagesEvent(Reply):
    """First event of a streamed answer: what it will be answered from, in the order of the markers [1], [2], …"""

    type: Literal["passages"] = "passages"
    passages: list[Passage]


class TokenEvent(Reply):
    """A further piece of the answer's text."""

    type: Literal["token"] = "token"
    text: str


class ErrorEvent(Reply):
    """The answer broke off; a `done` event with `finish_reason` `error` follows."""

    type: Literal["error"] = "error"
    error: ErrorBody


class DoneEvent(Answer):
    """Last event of a streamed answer: the whole answer."""

    type: Literal["done"] = "done"


AskEvent = PassagesEvent | TokenEvent | ErrorEvent | DoneEvent


class Model(Reply):
    """An installed model, or a configured provider (`remote`), which is `failed` while it is left alone."""

    id: str
    kind: Literal["gguf", "embedding", "remote"]
    state: Literal["installed", "loading", "loaded", "failed"]
    architecture: str
    size: int
    context: int | None = None
    quantisation: str | None = None
    licence: str | None = None
    sha256: str
    version: str | None = None
    """Short name of the content that answers under this id."""
    versions: list[str] = Field(default_factory=list)
    """All contents that are kept under this id, newest first."""
    source: str | None = None
    """The file it was imported from, or OWNER/NAME:FILE on the hub it was pulled from, at the commit `revision`."""
    revision: str | None = None
    pinned: bool = False
    memory: int | None = None
    """Bytes that its process owns now, while loaded."""
    reason: str | None = None


class ModelList(Reply):
    """The installed models and the configured providers."""

    models: list[Model]


class MemoryPart(Reply):
    """What part of a holder's bytes is for: weights, mapped, kv, compute, cache, adapters or process."""

    name: str
    device: str
    bytes: int


class MemoryAdapter(Reply):
    """An adapter in a model's process, and how many requests use it."""

    id: str
    bytes: int
    leases: int = 0


class MemoryHolder(Reply):
    """Who holds memory: bytes reserved beforehand and measured since; of a process also its id and its CPU time.

    `predicted` is known from `source`: `header`, `dry run` or `measured`. `devices` is what counts on each device: what was
    predicted, or what was measured if that is more. `idle_seconds` is null while it is in use.
    """

    id: str
    kind: str
    predicted: int
    measured: int | None = None
    pid: int | None = None
    cpu_seconds: float | None = None
    state: Literal["held", "loading", "loaded", "leaving"] = "held"
    version: str = ""
    source: str = ""
    devices: dict[str, int] = Field(default_factory=dict)
    parts: list[MemoryPart] = Field(default_factory=list)
    adapters: list[MemoryAdapter] = Field(default_factory=list)
    pinned: bool = False
    leases: int = 0
    idle_seconds: float | None = None


class MemoryDevice(Reply):
    """The budget of main memory, `ram`, or of a GPU, `gpu0` and so on."""

    device: str
    budget: int
    used: int


class MemoryDecision(Reply):
    """What was decided about memory, and why: `model` is whom it is about, `cause` the model for which it was done.

    `time` is RFC 3339 in UTC; `devices` are the bytes it is about; numbers rise by one.
    """

    number: int
    time: str
    kind: str
    model: str
    why: str
    cause: str = ""
    devices: dict[str, int] = Field(default_factory=dict)


class Memory(Reply):
    """The memory budget in bytes and who holds what; `budget` and `used` are those of main memory.

    `pressure` is the per cent of the last ten seconds in which processes waited for memory, null where the kernel does
    not tell; `short` whether models leave early because of it. `decisions` are the newest, oldest first.
    """

    budget: int
    used: int
    holders: list[MemoryHolder]
    devices: list[MemoryDevice] = Field(default_factory=list)
    waiting: int = 0
    pressure: float | None = None
    short: bool = False
    last_eviction: MemoryDecision | None = None
    decisions: list[MemoryDecision] = Field(default_factory=list)


class Event(Reply):
    """One event of `GET /events`: a document's or model's new state, or a decision about memory."""

    type: str
    document: Document | None = None
    model: Model | None = None
    status: Status | None = None
    removed: str | None = None
    memory: MemoryDecision | None = None
