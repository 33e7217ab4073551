"""How far, how fast and how long in words, for every screen: `45 pages/s, about 8 min left`. Pure."""

from appliance import wire
from appliance.wire import Embedding

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """A time span in its two largest units: 8 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    left = max(0, round(seconds))
    for index, (size, name) in enumerate(_UNITS):
        if left >= size:
            smaller, smaller_name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            rest = left % size // smaller
            return f"{left // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{left} s"


def speed(pages_per_second: float) -> str:
    """Pages a second, or a minute where that is less than one."""
    if pages_per_second >= 10:
        return f"{pages_per_second:,.0f} pages/s"
    if pages_per_second >= 1:
        return f"{pages_per_second:.1f} pages/s"
    return f"{60 * pages_per_second:.1f} pages/min"


def _joined(rate: float | None, seconds_left: float | None, estimated: bool = False) -> str:
    parts = [speed(rate)] if rate else []
    if seconds_left is not None:
        parts.append(f"{'about ' if estimated else ''}{duration(seconds_left)} left")
    return ", ".join(parts)


def document_pace(document: wire.Document) -> str:
    """How fast a document is read and how long that takes; empty as long as nothing can be said."""
    return _joined(document.rate, document.seconds_left)


def pages_of(document: wire.Document) -> str:
    """`12/400` while a document is being read, else the number of its pages; empty where that is not known."""
    if document.pages is None:
        return ""
    return f"{document.pages:,}" if document.state == "indexed" else f"{document.pages_done:,}/{document.pages:,}"


def unread_pages(pages: int) -> str:
    """`2 pages could not be read`; empty where all could."""
    return f"{pages:,} {'page' if pages == 1 else 'pages'} could not be read" if pages else ""


def overall_pace(progress: wire.Progress, *, brief: bool = False) -> str:
    """The same for all that is queued, with its pages: `1,200 of about 3,400 pages, 45 pages/s, about 49 s left`.

    `brief` leaves out the speed.
    """
    about = "about " if progress.estimated else ""
    pages = f"{progress.pages_done:,} of {about}{progress.pages_total:,} pages"
    pace = _joined(None if brief else progress.pages_per_second, progress.seconds_left, progress.estimated)
    return f"{pages}, {pace}" if pace else pages


def amount(size: int | float) -> str:
    """Bytes in words: 1536 -> 1.5 KiB."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


LIBRARY_AWAY = "away, its disk is not mounted, or other files or none are in its place: nothing new is read, what was read goes on answering"


def embedding_line(embedding: Embedding) -> str:
    """The embedding model that answers, and how far the switch to another one is."""
    said = [embedding.model or "none, full text alone"]
    if embedding.target:
        share = embedding.done / embedding.total if embedding.total else 1.0
        said.append(f"changing to {embedding.target}, {embedding.done:,} of {embedding.total:,} passages ({share:.0%})")
    return "; ".join([*said, *([embedding.remark] if embedding.remark else [])])
