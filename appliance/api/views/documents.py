"""The store's rows as the outside sees them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from appliance import wire
from appliance.display.path_names import display_name
from appliance.monitoring.progress import STANDING, DocumentPace
from appliance.store.rows import DocumentRow, ReadingRow

_MOST_RUNS = 20
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # of the years 1 and 9999, all that RFC 3339 can write


def rfc3339(nanoseconds: int) -> str:
    """A file time as RFC 3339 in UTC, whole seconds; an absurd one as the nearest that has a date."""
    seconds = min(max(nanoseconds // 1_000_000_000, _FIRST_SECOND), _LAST_SECOND)
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def document_view(row: DocumentRow, pace: DocumentPace = STANDING) -> wire.Document:
    """A document of `GET /documents`, and how its reading gets on."""
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
    """How a document was read, of `GET /documents/{id}`."""
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
    """Ascending page numbers as people write them: `page 3`, `pages 3, 7 to 9 and 12`; of very many only how many."""
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
