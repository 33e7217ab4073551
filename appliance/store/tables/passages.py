"""Reads search results back: passages, their words and their pages.

Rule: only findable chunks are returned. One that was deleted after it was found is left out, or raises `NotFound`.
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

import json
from collections.abc import Collection

import apsw

from appliance.store.database.connection import row, rows, value
from appliance.store.ids import chunk_id, document_id, unknown_chunk
from appliance.store.indexes.vectors import in_list
from appliance.store.rows import PageRow, PassageRow
from appliance.store.tables import word_map
from ingest.types import ChunkWord

_FINDABLE = "JOIN documents d ON d.id = c.document AND coalesce(d.serving, d.building) = c.revision"


def passages(connection: apsw.Connection, chunks: Collection[int]) -> list[PassageRow]:
    """The findable ones of these chunks, in the given order."""
    found = rows(
        connection,
        "SELECT c.id, d.id, d.path, k.name, r.title, c.page, c.page_last, c.heading, c.text"
        f" FROM chunks c {_FINDABLE} JOIN collections k ON k.id = d.collection"
        f" JOIN revisions r ON r.id = c.revision WHERE c.id IN {in_list(chunks)}",
    )
    by_number = {
        number: PassageRow(
            chunk=number,
            document=document,
            document_id=document_id(document),
            path=path,
            collection=collection,
            title=title,
            page=page,
            page_last=page_last,
            heading=tuple(json.loads(heading)),
            text=text,
        )
        for number, document, path, collection, title, page, page_last, heading, text in found
    }
    return [by_number[number] for number in chunks if number in by_number]


def chunk_words(connection: apsw.Connection, chunk: int) -> tuple[ChunkWord, ...]:
    """The map from the chunk's words to the words of its pages.

    Raises:
        NotFound: the chunk no longer exists.
    """
    packed = value(connection, f"SELECT c.words FROM chunks c {_FINDABLE} WHERE c.id = ?", (chunk,))
    if packed is None:
        raise unknown_chunk(chunk_id(chunk))
    return word_map.unpack(packed)


def page(connection: apsw.Connection, chunk: int, number: int) -> PageRow:
    """A page of the chunk's document, in the revision that the chunk belongs to.

    Raises:
        NotFound: the chunk no longer exists, or its document has no such page.
    """
    found = row(
        connection,
        f"SELECT p.number, p.label, p.text, p.width, p.height FROM chunks c {_FINDABLE}"
        " JOIN pages p ON p.revision = c.revision AND p.number = ? WHERE c.id = ?",
        (number, chunk),
    )
    if found is None:
        raise unknown_chunk(chunk_id(chunk))
    return PageRow(*found)
