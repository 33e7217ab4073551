"""Cuts pages into chunks: passages of a few sentences or table rows under one heading path.

Pure and streaming: the same pages always give the same chunks, and no more pages are held than the look-ahead needs.
`packer` decides where to cut. `Chunk.words` maps every word back to its page. Chunks do not overlap: a passage found
twice would take another one's place among the results and in the context.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import add, sub

from ingest.chunking.packer import ChunkLimits, Packer, path_text
from ingest.chunking.units import Offsets, Unit, units_of
from ingest.layout.headings import BodySize
from ingest.layout.outline import Outline
from ingest.layout.paragraphs import BlockKind
from ingest.layout.prose_columns import unwoven
from ingest.layout.row_repair import tidied
from ingest.layout.rows import Row, rows_of
from ingest.layout.running_lines import without_running
from ingest.tables.table_bodies import with_heads
from ingest.types import Bookmark, Chunk, ChunkWord, Page, made_of

__all__ = ["BODY_LOOK_AHEAD", "ChunkLimits", "chunk_pages", "embedded_text"]

BODY_LOOK_AHEAD = 8
"""Further pages read before a page's headings are decided; with the look-ahead of running lines 14. With 10 the type of
a cover was taken for the body's: see "The body's size" in docs/decisions.md."""


def chunk_pages(
    pages: Iterable[Page],
    offsets: Offsets,
    limits: ChunkLimits | None = None,
    *,
    bookmarks: Sequence[Bookmark] = (),
) -> Iterator[Chunk]:
    """The chunks of a document in reading order, numbered from 0.

    `offsets` is the embedder's tokenizer. `bookmarks` are the document's own; the rows they name become headings.
    """
    packer = Packer(offsets, limits or ChunkLimits())
    ordinal = 0
    for unit in units_of(_rows(pages), offsets, Outline(bookmarks)):
        for units in packer.add(unit):
            yield _chunk(ordinal, units)
            ordinal += 1
    for units in packer.rest():
        yield _chunk(ordinal, units)
        ordinal += 1


def embedded_text(chunk: Chunk) -> str:
    """The text that is embedded for a chunk: its heading path, unless the text begins with it, and its text.

    Never the document's name or title, so a rename embeds nothing again. All white space is a single space, so it makes
    no difference whether the end of a paragraph is recognised at the border of a page.
    """
    path = path_text(chunk.heading, chunk.text)
    text = " ".join(chunk.text.split())
    return f"{path}\n{text}" if path else text


def _rows(pages: Iterable[Page]) -> Iterator[tuple[list[Row], BodySize]]:
    """The rows of each page without running ones, once the pages after it are counted for the body's size."""
    body = BodySize()
    waiting: deque[list[Row]] = deque()
    for page, dropped in without_running(pages):
        rows = with_heads(tidied(unwoven(rows_of(page, dropped))))
        body.add(rows)
        waiting.append(rows)
        if len(waiting) > BODY_LOOK_AHEAD:
            yield waiting.popleft(), body
    while waiting:
        yield waiting.popleft(), body


def _chunk(ordinal: int, units: list[Unit]) -> Chunk:
    pieces = [piece for unit in units for piece in unit.pieces]
    gaps = [
        gap for unit in units for gap in ("\n" if unit.opens else unit.pieces[0].gap, *[p.gap for p in unit.pieces[1:]])
    ]
    gaps[0] = ""
    texts, _, pages, sources, source_ends, boxes = zip(*pieces, strict=True)
    ends = list(accumulate(map(len, map(add, gaps, texts))))
    starts = map(sub, ends, map(len, texts))
    words = made_of(ChunkWord, zip(starts, ends, pages, sources, source_ends, boxes, strict=True))
    rows = sum(unit.kind is BlockKind.TABLE_ROW for unit in units)
    return Chunk(ordinal, min(pages), max(pages), _path_of(units), "".join(map(add, gaps, texts)), tuple(words), rows)


def _path_of(units: list[Unit]) -> tuple[str, ...]:
    """The path of most of its tokens, of equals the first; within a table, with the column headings as last element."""
    tokens: Counter[tuple[str, ...]] = Counter()
    for unit in units:
        tokens[unit.path] += 0 if unit.kind is BlockKind.HEADING else unit.tokens
    path = max(tokens, key=tokens.__getitem__)
    columns = _columns_above(units, path)
    return (*path, columns) if columns else path


def _columns_above(units: list[Unit], path: tuple[str, ...]) -> str:
    """The column headings of the table that the chunk begins inside of; empty if it holds them itself."""
    first = next((unit for unit in units if unit.kind is BlockKind.TABLE_ROW), None)
    return first.columns if first is not None and first.path == path else ""
