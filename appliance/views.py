"""The store's rows as the outside sees them."""

from datetime import UTC, datetime

from appliance import wire
from appliance.store.ids import chunk_id
from appliance.store.names import display
from appliance.store.rows import DocumentRow, PassageRow


def rfc3339(nanoseconds: int) -> str:
    """A file time as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


def document_view(row: DocumentRow) -> wire.Document:
    """A document of `GET /documents`."""
    return wire.Document(
        id=row.id,
        document=display(row.path),
        collection=display(row.collection),
        state=row.state,
        reason=row.reason or None,
        hint=row.hint or None,
        title=row.title or None,
        pages=row.pages or None,
        pages_done=row.pages_done,
        chunks=row.chunks,
        size=row.identity.size,
        modified=rfc3339(row.identity.mtime_ns),
        attempts=row.attempts,
        next_attempt=None if row.next_attempt is None else rfc3339(int(row.next_attempt * 1_000_000_000)),
    )


def passage_view(row: PassageRow, score: float) -> wire.Passage:
    """A passage of `POST /search`."""
    return wire.Passage(
        document=display(row.path),
        collection=display(row.collection),
        page=row.page,
        page_last=row.page_last,
        heading=list(row.heading),
        text=row.text,
        score=round(score, 6),
        chunk_id=chunk_id(row.chunk),
    )
