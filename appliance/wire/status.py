"""The service's state: the reply of `GET /status`, and a part of the events."""

from appliance.wire.base import Reply


class DocumentCounts(Reply):
    """Documents by state."""

    indexed: int = 0
    indexing: int = 0
    pending: int = 0
    failed: int = 0


class Progress(Reply):
    """The progress of reading the queue: pages read since it began, total pages, speed and time left.

    `estimated` is true while some files' pages are not counted yet; theirs are inferred from the file size. Unknown
    values are null.
    """

    pages_done: int
    pages_total: int
    pages_per_second: float | None = None
    seconds_left: float | None = None
    estimated: bool = False


class Skipped(Reply):
    """Pages that could not be read although they show something, and the number of documents that have such pages."""

    documents: int = 0
    pages: int = 0


class Embedding(Reply):
    """The embedding model in use, null while the full-text index answers alone, and the one that is to replace it:
    `done` of `total` passages are embedded with that one. `remark` is a note for the administrator."""

    model: str | None
    target: str | None = None
    done: int = 0
    total: int = 0
    remark: str | None = None


class Status(Reply):
    """The service's state; `queue` counts the files not yet done, including unsettled ones."""

    ready: bool
    documents: DocumentCounts
    chunks: int
    queue: int
    models_loaded: list[str]
    version: str
    embedding: Embedding | None = None
    progress: Progress | None = None
    """Null with an empty queue."""
    skipped: Skipped = Skipped()
    library_away: bool = False
    """The library's disk is not mounted, or another one is: nothing new is read, indexed documents still answer."""
