"""Making the target model's vectors: what it lacks, batch by batch, and what comes of embedding that.

The committed vectors are the only progress. What was embedded outside of a transaction is taken only as far as it still
holds: a text that no chunk has any more, or a name that has changed, is left out and looked for again.
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
    """A chunk whose text has no vector by the target yet; `heading` and `text` are what was embedded for it."""

    chunk: int
    text_hash: bytes
    heading: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class LackingName:
    """A findable document whose name has no vector by the target yet."""

    document: int
    text: str


@dataclass(frozen=True, slots=True)
class Remade:
    """The vector of a text; `cut` if the model took only its beginning."""

    text_hash: bytes
    vector: Vector
    cut: bool


class Rebuild:
    """The work on one target. May be used from any one thread at a time; True means that it is the target still."""

    def __init__(self, database: Database, index: VectorIndex) -> None:
        self._database = database
        self._embedder = index.embedder
        self.identity = index.identity

    def lacking_chunks(self, after: int, limit: int) -> list[LackingChunk]:
        """The next chunks behind number `after`, in the order of their numbers."""
        with self._database.read() as connection:
            return lacking_chunks(connection, self._embedder, after, limit)

    def lacking_names(self, limit: int) -> list[LackingName]:
        """Some of the documents whose name is to be embedded."""
        with self._database.read() as connection:
            return lacking_names(connection, self._embedder, limit)

    def add_chunks(self, remade: Sequence[Remade]) -> bool:
        """Keep these vectors, in one transaction."""
        return self._database.write(lambda connection: add_chunks(connection, self._embedder, remade))

    def add_names(self, remade: Sequence[tuple[LackingName, Vector]]) -> bool:
        """Keep these vectors of names, in one transaction."""
        return self._database.write(lambda connection: add_names(connection, self._embedder, remade))

    def switch(self) -> list[str] | None:
        """Let the target answer from now on, if it lacks nothing; None if it does. See `embedders.switch`.

        Gives the documents that are queued to be read again.
        """
        outgrown = self._database.write(lambda connection: switch(connection, self._embedder))
        return None if outgrown is None else [document_id(number) for number in outgrown]

    def progress(self) -> tuple[int, int]:
        """Chunks that are done, and all there are; looks at each."""
        with self._database.read() as connection:
            return progress(connection, self._embedder)

    def total(self) -> int:
        """All chunks there are."""
        with self._database.read() as connection:
            return chunk_total(connection)


def lacking_chunks(connection: apsw.Connection, embedder: int, after: int, limit: int) -> list[LackingChunk]:
    """The next chunks behind number `after`, in the order of their numbers."""
    found = rows(
        connection,
        "SELECT c.id, c.text_hash, c.heading, c.text FROM chunks c WHERE c.id > ? AND NOT EXISTS"
        " (SELECT 1 FROM vectors v WHERE v.text_hash = c.text_hash AND v.embedder = ?) ORDER BY c.id LIMIT ?",
        (after, embedder, limit),
    )
    return [LackingChunk(number, key, tuple(json.loads(heading)), text) for number, key, heading, text in found]


def lacking_names(connection: apsw.Connection, embedder: int, limit: int) -> list[LackingName]:
    """Some of the documents whose name is to be embedded."""
    found = rows(connection, LACKING_NAME, (embedder, limit))
    return [LackingName(number, document_names.search_name(path, title)) for number, path, title in found]


def add_chunks(connection: apsw.Connection, embedder: int, remade: Sequence[Remade]) -> bool:
    """Keep the vectors of those texts that a chunk still has; False if the model is not the target any more."""
    if not _is_target(connection, embedder):
        return False
    connection.executemany(
        "INSERT INTO vectors (embedder, text_hash, vector, cut) SELECT ?1, ?2, ?3, ?4"
        " WHERE EXISTS (SELECT 1 FROM chunks WHERE text_hash = ?2) ON CONFLICT DO NOTHING",
        [(embedder, one.text_hash, to_half(one.vector), one.cut) for one in remade],
    ).fetchall()
    return True


def add_names(connection: apsw.Connection, embedder: int, remade: Sequence[tuple[LackingName, Vector]]) -> bool:
    """Keep the vectors of those names that their documents still have; False as above."""
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
    """Chunks that have their vector by this model, and all chunks."""
    done = value(
        connection,
        "SELECT count(*) FROM chunks c WHERE EXISTS"
        " (SELECT 1 FROM vectors v WHERE v.text_hash = c.text_hash AND v.embedder = ?)",
        (embedder,),
    )
    return int(done), chunk_total(connection)


def chunk_total(connection: apsw.Connection) -> int:
    """All chunks, whether they can be found or not."""
    return int(value(connection, "SELECT count(*) FROM chunks"))


def _is_target(connection: apsw.Connection, embedder: int) -> bool:
    index = target(connection)
    return index is not None and index.embedder == embedder
