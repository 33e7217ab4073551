"""The store's rows as the outside sees them."""

from datetime import UTC, datetime

from appliance import wire
from appliance.monitoring.progress import STANDING, DocumentPace
from appliance.store.ids import chunk_id
from appliance.store.names import display
from appliance.store.rows import DocumentRow, PassageRow


def rfc3339(nanoseconds: int) -> str:
    """A file time as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


def document_view(row: DocumentRow, pace: DocumentPace = STANDING) -> wire.Document:
    """A document of `GET /documents`, and how its reading gets on."""
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
        rate=pace.rate,
        seconds_left=pace.seconds_left,
        chunks=row.chunks,
        size=row.identity.size,
        modified=rfc3339(row.identity.mtime_ns),
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
