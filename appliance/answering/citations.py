"""Turns claims and passages into citations: quote, boxes, and whether the quote supports the claim.

Blocking: reads the store and runs the embedder. Call it in a worker thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance import wire
from appliance.answering.markers import Claim
from appliance.answering.quotes import quote
from appliance.answering.support import PassageEmbedder, Support, best_support
from appliance.display.path_names import display_name
from appliance.errors import NotFound
from appliance.store.ids import chunk_id
from appliance.store.rows import PassageRow
from ingest.types import ChunkWord


class Pages(Protocol):
    """The part of the store that is used here."""

    def chunk_words(self, chunk: int) -> tuple[ChunkWord, ...]: ...

    def page_text(self, chunk: int, number: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Passages:
    """The passages that an answer was generated from, in the order of their markers: marker 1 is the first."""

    rows: Sequence[PassageRow]
    pages: Pages

    def citation(self, number: int, support: Support) -> wire.Citation | None:
        """Cite a stretch of a passage; None if its document was removed meanwhile, or none of its words is there."""
        row = self.rows[number - 1]
        try:
            words = self.pages.chunk_words(row.chunk)
            found = quote(words, support.start, support.end, lambda page: self.pages.page_text(row.chunk, page))
        except NotFound:
            return None
        if found is None:
            return None
        return wire.Citation(
            marker=f"[{number}]",
            document=display_name(row.path),
            page=found.page,
            quote=found.text,
            supported=support.supported,
            score=support.score,
            chunk_id=chunk_id(row.chunk),
            boxes=list(found.boxes),
        )


def cite(claims: Sequence[Claim], passages: Passages, embedder: PassageEmbedder) -> list[wire.Citation]:
    """Cite each claim that its passage has words for; each marker and quote once, in the answer's order."""
    found: dict[tuple[str, str], wire.Citation] = {}
    for claim in claims:
        support = best_support(claim.text, passages.rows[claim.passage - 1].text, embedder)
        citation = passages.citation(claim.passage, support) if support else None
        if citation is not None:
            held = found.get((citation.marker, citation.quote))
            if held is None or (citation.supported and not held.supported):
                found[citation.marker, citation.quote] = citation
    return list(found.values())
