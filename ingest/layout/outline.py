"""Uses a document's bookmarks as headings: the rows they lead to are headings, and nest as the bookmarks do. Pure.

A bookmark counts only if its title is found on its page, so a wrong or foreign outline has no effect.
"""

from collections import defaultdict
from collections.abc import Sequence

from ingest.layout.headings import BodySize, heading_flags
from ingest.layout.rows import Row
from ingest.types import Bookmark

# Chosen by eye; held by the expectations of benchmarks/reading.
_MOST_ROWS = 3  # that a heading may run over
_NUMBER = 8  # letters and digits of the number that a heading may have before the bookmark's title
_SHORTEST = 3  # letters and digits of a title


class Outline:
    """A document's bookmarks by page; without any it changes nothing."""

    def __init__(self, bookmarks: Sequence[Bookmark]) -> None:
        self._titles: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for bookmark in bookmarks:
            title = _folded(bookmark.title)
            if len(title) >= _SHORTEST:
                self._titles[bookmark.page].setdefault(title, bookmark.level)

    def level(self, page: int, text: str) -> int | None:
        """The level of the bookmark that leads to a heading, from 1; None if none does."""
        titles = self._titles.get(page)
        if not titles:
            return None
        folded = _folded(text)
        return next((level for title, level in titles.items() if _names(title, folded)), None)

    def flags(self, rows: list[Row], body: BodySize) -> list[bool]:
        """Whether each row of a page is a heading: it looks like one, or a bookmark leads to it."""
        flags = heading_flags(rows, body)
        if rows and (titles := self._titles.get(rows[0].cells[0].pieces[0].page)):
            texts = [_folded(row.text()) for row in rows]
            for index in range(len(rows)):
                for count in _matching(texts, index, titles):
                    flags[index : index + count] = [True] * count
        return flags


def _matching(texts: list[str], index: int, titles: dict[str, int]) -> list[int]:
    """The number of rows, from `index` on, that make up a bookmark's title; empty if none does."""
    counts = range(1, min(_MOST_ROWS, len(texts) - index) + 1)
    return [count for count in counts if any(_names(title, "".join(texts[index : index + count])) for title in titles)][
        :1
    ]


def _names(title: str, text: str) -> bool:
    """Whether a heading is the bookmark's title, perhaps with a number before it."""
    return text.endswith(title) and len(text) - len(title) <= _NUMBER


def _folded(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
