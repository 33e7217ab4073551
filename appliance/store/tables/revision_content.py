"""Writes the pages and chunks of a revision. Everything here runs inside the caller's transaction."""

import json
from collections.abc import Sequence

import apsw

from appliance.store.database.storable_text import storable
from appliance.store.indexes.vectors import text_hash
from appliance.store.tables import word_map
from ingest.types import EmbeddedChunk, Page


def insert_pages(connection: apsw.Connection, revision: int, pages: Sequence[Page]) -> None:
    """Add pages; those already there stay."""
    connection.executemany(
        "INSERT INTO pages (revision, number, label, width, height, text, source, warning) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (revision, number) DO NOTHING",
        [
            (
                revision,
                page.number,
                storable(page.label),
                page.width,
                page.height,
                storable(page.text),
                page.source,
                storable(page.warning),
            )
            for page in pages
        ],
    ).fetchall()


def insert_chunks(connection: apsw.Connection, document: int, revision: int, chunks: Sequence[EmbeddedChunk]) -> None:
    """Add chunks with their word maps; vectors and index rows are the caller's."""
    connection.executemany(
        "INSERT INTO chunks (document, revision, ordinal, page, page_last, heading, text, text_hash, words,"
        " table_rows) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                document,
                revision,
                one.chunk.ordinal,
                one.chunk.page,
                one.chunk.page_last,
                json.dumps([storable(part) for part in one.chunk.heading], ensure_ascii=False),
                storable(one.chunk.text),
                text_hash(one.embedded_text),
                word_map.pack(one.chunk.words),
                one.chunk.table_rows,
            )
            for one in chunks
        ],
    ).fetchall()
