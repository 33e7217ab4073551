"""Collects what a document's first pages tell about it: title, language, and the period it reports on. Pure.

Each is decided by the pages alone, never by how many arrived at once, so an interrupted reading ends with the same.
"""

from typing import NamedTuple

from ingest.metadata.language import guessed_language
from ingest.metadata.period import period_of
from ingest.metadata.title import best_title
from ingest.types import DocumentInfo, Page

_FIRST_PAGES = 3
"""Pages that are looked at. Chosen by eye."""


class About(NamedTuple):
    """What the pages so far tell; empty where they do not."""

    title: str = ""
    language: str = ""
    period: str = ""

    def after(self, page: Page, info: DocumentInfo) -> "About":
        """The result of adding the next page."""
        if page.number > _FIRST_PAGES:
            return self
        return About(
            best_title(info.title, page) if page.number == 1 else self.title,
            self.language or guessed_language(page.text),
            self.period or period_of(page.text),
        )
