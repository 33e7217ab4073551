"""Finds a document's title: its metadata's if that is a real one, else the first page's most prominent lines. Pure."""

import re

from ingest.layout.rows import Row, rows_of
from ingest.types import Page

LONGEST = 200
"""Characters of a title. This and the following were chosen by eye."""

_SHORTEST = 4
"""Letters of a title, and of a row that can be part of one."""
_MOST_ROWS = 3
_MOST_WORDS = 30
_SAME_SIZE = 0.97
"""Share of the largest font size from which a row counts as of that size."""
_LEFTOVER = re.compile(
    r"^(?:microsoft (?:word|powerpoint|excel)\b.*|untitled.*|document\d*|title|print(?:ing)?|slide \d+|page \d+|"
    r"powerpoint presentation|[\w%.-]+\.(?:docx?|pptx?|xlsx?|pdf|indd|qxd|tex|dvi|rtf|html?|odt|pmd|eps|ps|fm|p65)|[\W\d_]+)$",
    re.IGNORECASE,
)


def best_title(metadata: str, first_page: Page) -> str:
    """The title in one line of at most LONGEST characters; empty if nothing can serve as one."""
    cleaned = " ".join("".join(c if c.isprintable() else " " for c in metadata).split())
    if _is_title(cleaned):
        return cleaned[:LONGEST]
    return _prominent(rows_of(first_page))[:LONGEST]


def _is_title(text: str) -> bool:
    return len(text) >= _SHORTEST and not _LEFTOVER.match(text) and sum(c.isalpha() for c in text) >= _SHORTEST


def _prominent(rows: list[Row]) -> str:
    """The first group of consecutive rows of the largest size."""
    worded = [row for row in rows if sum(c.isalpha() for c in row.text()) >= _SHORTEST]
    largest = max((row.size for row in worded), default=0.0)
    group: list[str] = []
    for row in worded:
        if row.size >= largest * _SAME_SIZE and len(group) < _MOST_ROWS:
            group.append(row.text())
        elif group:
            break
    title = " ".join(" ".join(group).split())
    return title if len(title.split()) <= _MOST_WORDS else ""
