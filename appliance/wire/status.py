"""The service at a glance: `GET /status`, and a part of the events."""

from appliance.wire.base import Reply


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


class Skipped(Reply):
    """Pages that could not be read though they show something, and how many documents have such pages."""

    documents: int = 0
    pages: int = 0


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
    skipped: Skipped = Skipped()
    library_away: bool = False
    """The library's disk is not mounted: nothing new is read, what was read goes on answering."""
