"""Rebuilds the vectors for the target model: lists what lacks one, and stores the results batch by batch.

Rule: the committed vectors are the only progress. Embedding runs outside of transactions, so results may be outdated
when they arrive: a text that no chunk has any more, or a name that has changed, is left out and listed again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from appliance.store.database.connection import row, rows, run, value
from appliance.store.database.database import Database
from appliance.store.ids import document_id
from appliance.store.indexes import document_names
from appliance.store.indexes.vectors import VectorIndex, to_half
from appliance.store.tables.embedders import LACKING_NAME, switch, target
from ingest.types import Vector


@dataclass(frozen=True, slots=True)
class LackingChunk:
    """A chunk whose text lacks the target's vector; `heading` and `text` make up the embedded text."""

    chunk: int
    text_hash: bytes
    heading: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class LackingName:
    """A findable document whose name lacks the target's vector."""

    document: int
    text: str


@dataclass(frozen=True, slots=True)
class Remade:
    """The new vector of a text; `cut` if the text was longer than the model's input."""

    text_hash: bytes
    vector: Vector
    cut: bool


class Rebuild:
    """The rebuild for one target. May be used from any thread, by one at a time.

    The methods that write return False once the model is no longer the target.
    """

    def __init__(self, database: Database, index: VectorIndex) -> None:
        self._database = database
        self._embedder = index.embedder
        self.identity = index.identity

    def lacking_chunks(self, after: int, limit: int) -> list[LackingChunk]:
        """The next chunks after number `after`, in ascending order."""
        with self._database.read() as connection:
            return lacking_chunks(connection, self._embedder, after, limit)

    def lacking_names(self, limit: int) -> list[LackingName]:
        """Up to `limit` documents whose name lacks the target's vector."""
        with self._database.read() as connection:
            return lacking_names(connection, self._embedder, limit)

    def add_chunks(self, remade: Sequence[Remade]) -> bool:
        """Store these vectors in one transaction."""
        return self._database.write(lambda connection: add_chunks(connection, self._embedder, remade))

    def add_names(self, remade: Sequence[tuple[LackingName, Vector]]) -> bool:
        """Store these vectors of names in one transaction."""
        return self._database.write(lambda connection: add_names(connection, self._embedder, remade))

    def switch(self) -> list[str] | None:
        """Make the target the serving model if no vector is lacking, else return None; see `embedders.switch`.

        Returns the ids of the documents that are queued to be read again.
        """
        outgrown = self._database.write(lambda connection: switch(connection, self._embedder))
        return None if outgrown is None else [document_id(number) for number in outgrown]

    def progress(self) -> tuple[int, int]:
        """The number of chunks done, and of all; reads every chunk's row."""
        with self._database.read() as connection:
            return progress(connection, self._embedder)

    def total(self) -> int:
        """Number of all chunks."""
        with self._database.read() as connection:
            return chunk_total(connection)


def lacking_chunks(connection: apsw.Connection, embedder: int, after: int, limit: int) -> list[LackingChunk]:
    """The next chunks after number `after`, in ascending order."""
    found = rows(
        connection,
        "SELECT c.id, c.text_hash, c.heading, c.text FROM chunks c WHERE c.id > ? AND NOT EXISTS"
        " (SELECT 1 FROM vectors v WHERE v.text_hash = c.text_hash AND v.embedder = ?) ORDER BY c.id LIMIT ?",
        (after, embedder, limit),
    )
    return [LackingChunk(number, key, tuple(json.loads(heading)), text) for number, key, heading, text in found]


def lacking_names(connection: apsw.Connection, embedder: int, limit: int) -> list[LackingName]:
    """Up to `limit` documents whose name lacks the target's vector."""
    found = rows(connection, LACKING_NAME, (embedder, limit))
    return [LackingName(number, document_names.search_name(path, title)) for number, path, title in found]


def add_chunks(connection: apsw.Connection, embedder: int, remade: Sequence[Remade]) -> bool:
    """Store the vectors of texts that a chunk still has; False if the model is no longer the target."""
    if not _is_target(connection, embedder):
        return False
    connection.executemany(
        "INSERT INTO vectors (embedder, text_hash, vector, cut) SELECT ?1, ?2, ?3, ?4"
        " WHERE EXISTS (SELECT 1 FROM chunks WHERE text_hash = ?2) ON CONFLICT DO NOTHING",
        [(embedder, one.text_hash, to_half(one.vector), one.cut) for one in remade],
    ).fetchall()
    return True


def add_names(connection: apsw.Connection, embedder: int, remade: Sequence[tuple[LackingName, Vector]]) -> bool:
    """Store the vectors of names that are still current; False if the model is no longer the target."""
    if not _is_target(connection, embedder):
        return False
    for lacking, vector in remade:
        found = row(
            connection,
            "SELECT d.path, r.title FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building)"
            " WHERE d.id = ? AND r.chunks > 0",
            (lacking.document,),
        )
        if found is not None and document_names.search_name(*found) == lacking.text:
            run(
                connection,
                "INSERT OR REPLACE INTO name_vectors (document, embedder, text, vector) VALUES (?, ?, ?, ?)",
                (lacking.document, embedder, lacking.text, to_half(vector)),
            )
    return True


def progress(connection: apsw.Connection, embedder: int) -> tuple[int, int]:
    """The number of chunks that have this model's vector, and of all chunks."""
    done = value(
        connection,
        "SELECT count(*) FROM chunks c WHERE EXISTS"
        " (SELECT 1 FROM vectors v WHERE v.text_hash = c.text_hash AND v.embedder = ?)",
        (embedder,),
    )
    return int(done), chunk_total(connection)


def chunk_total(connection: apsw.Connection) -> int:
    """Number of all chunks, findable or not."""
    return int(value(connection, "SELECT count(*) FROM chunks"))


def _is_target(connection: apsw.Connection, embedder: int) -> bool:
    index = target(connection)
    return index is not None and index.embedder == embedder
