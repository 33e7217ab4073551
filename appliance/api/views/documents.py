"""Turns the store's rows of documents into `wire` values. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from appliance import wire
from appliance.display.path_names import display_name
from appliance.monitoring.progress import STANDING, DocumentPace
from appliance.store.rows import DocumentRow, ReadingRow

_MOST_RUNS = 20
"""Runs of page numbers that a warning lists. Chosen by eye."""
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""First second of year 1 and last of year 9999, the limits of RFC 3339."""


def rfc3339(nanoseconds: int) -> str:
    """Format a file time in nanoseconds as RFC 3339 in UTC, in whole seconds; clamp one outside the years 1 to 9999."""
    seconds = min(max(nanoseconds // 1_000_000_000, _FIRST_SECOND), _LAST_SECOND)
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def document_view(row: DocumentRow, pace: DocumentPace = STANDING) -> wire.Document:
    """Build a document of `GET /documents`, with the progress of its reading."""
    return wire.Document(
        id=row.id,
        document=display_name(row.path),
        collection=display_name(row.collection),
        state=row.state,
        reason=row.reason or None,
        hint=row.hint or None,
        title=row.title or None,
        pages=row.pages or None,
        pages_done=max(row.pages_done, pace.pages_recognised),
        rate=pace.rate,
        seconds_left=pace.seconds_left,
        chunks=row.chunks,
        pages_skipped=row.skipped,
        size=row.identity.size,
        modified=rfc3339(row.identity.mtime_ns),
        attempts=row.attempts,
        next_attempt=None if row.next_attempt is None else rfc3339(int(row.next_attempt * 1_000_000_000)),
    )


def reading_view(row: ReadingRow) -> wire.Reading:
    """Build the `reading` of `GET /documents/{id}`: how the document was read."""
    held = row.revision
    return wire.Reading(
        sha256=held.sha256,
        extractor=held.extractor,
        chunker=held.chunker,
        template=held.template,
        complete=held.complete,
        sources=wire.Sources.model_validate(row.sources),
        tables=row.table_rows,
        author=row.author or None,
        language=row.language or None,
        period=row.period or None,
        created=row.created or None,
        modified=row.modified or None,
        warnings=[f"{pages_named(numbers)}: {trouble}" for trouble, numbers in row.troubles.items()],
    )


def pages_named(numbers: Sequence[int]) -> str:
    """Format ascending page numbers: `page 3`, `pages 3, 7 to 9 and 12`; only their count if they make many runs."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    if len(runs) > _MOST_RUNS:
        return f"{len(numbers):,} pages (the first is page {numbers[0]})"
    parts = [str(first) if first == last else f"{first} to {last}" for first, last in runs]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"{'page' if len(numbers) == 1 else 'pages'} {listed}"
