"""Amounts, progress and speed in words, for every screen: `45 pages/s, about 8 min left`. Pure."""

from appliance import wire
from models.humanize import amount

__all__ = [
    "LIBRARY_AWAY",
    "amount",
    "document_pace",
    "duration",
    "embedding_line",
    "overall_pace",
    "pages_of",
    "queue_pace",
    "speed",
    "unread_pages",
]

LIBRARY_AWAY = (
    "not available: its disk is not mounted, or another one is. "
    "Nothing new is read; documents already indexed still answer."
)
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """Format a time span in its two largest units: 8 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    left = max(0, round(seconds))
    for index, (size, name) in enumerate(_UNITS):
        if left >= size:
            smaller, smaller_name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            rest = left % size // smaller
            return f"{left // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{left} s"


def speed(pages_per_second: float) -> str:
    """Format pages per second, or pages per minute below one a second."""
    if pages_per_second >= 10:
        return f"{pages_per_second:,.0f} pages/s"
    if pages_per_second >= 1:
        return f"{pages_per_second:.1f} pages/s"
    return f"{60 * pages_per_second:.1f} pages/min"


def document_pace(document: wire.Document) -> str:
    """Format a document's reading speed and time left; empty until they are known."""
    return _pace(document.rate, document.seconds_left)


def pages_of(document: wire.Document) -> str:
    """Format a document's pages: `12/400` while it is being read, then `400`; empty if unknown."""
    if document.pages is None:
        return ""
    return f"{document.pages:,}" if document.state == "indexed" else f"{document.pages_done:,}/{document.pages:,}"


def unread_pages(pages: int) -> str:
    """Format `2 pages could not be read`; empty for 0."""
    return f"{pages:,} {'page' if pages == 1 else 'pages'} could not be read" if pages else ""


def overall_pace(progress: wire.Progress, *, brief: bool = False) -> str:
    """Format the progress of the whole queue: `1,200 of about 3,400 pages, 45 pages/s, about 49 s left`.

    `brief` leaves out the speed.
    """
    about = "about " if progress.estimated else ""
    pages = f"{progress.pages_done:,} of {about}{progress.pages_total:,} pages"
    pace = queue_pace(progress, brief=brief)
    return f"{pages}, {pace}" if pace else pages


def queue_pace(progress: wire.Progress, *, brief: bool = False) -> str:
    """Format the speed and the time left of the whole queue; empty until they are known. `brief` leaves out the speed."""
    return _pace(None if brief else progress.pages_per_second, progress.seconds_left, progress.estimated)


def embedding_line(embedding: wire.Embedding) -> str:
    """Format the embedding model in use and the progress of a switch to another one."""
    parts = [embedding.model or "none, full text only"]
    if embedding.target:
        share = embedding.done / embedding.total if embedding.total else 1.0
        parts.append(
            f"changing to {embedding.target}, {embedding.done:,} of {embedding.total:,} passages ({share:.0%})"
        )
    if embedding.remark:
        parts.append(embedding.remark)
    return "; ".join(parts)


def _pace(rate: float | None, seconds_left: float | None, estimated: bool = False) -> str:
    parts = [speed(rate)] if rate else []
    if seconds_left is not None:
        parts.append(f"{'about ' if estimated else ''}{duration(seconds_left)} left")
    return ", ".join(parts)
