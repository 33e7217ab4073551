"""What becomes known of a document as its first pages are read: its title, its language, the period it reports on; pure.

Each is decided by the pages alone, never by how many came at once, so that an interrupted reading ends the same.
"""

from typing import NamedTuple

from ingest.metadata.language import guessed_language
from ingest.metadata.period import period_of
from ingest.metadata.title import best_title
from ingest.types import DocumentInfo, Page

_FIRST_PAGES = 3


class About(NamedTuple):
    """As far as the pages up to one of them tell; empty where they do not."""

    title: str = ""
    language: str = ""
    period: str = ""

    def after(self, page: Page, info: DocumentInfo) -> "About":
        """With what the next page tells."""
        if page.number > _FIRST_PAGES:
            return self
        return About(
            best_title(info.title, page) if page.number == 1 else self.title,
            self.language or guessed_language(page.text),
            self.period or period_of(page.text),
        )
