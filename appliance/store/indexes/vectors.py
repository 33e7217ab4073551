"""Stores vectors in an ordinary table, which is the truth, and searches them with a sqlite-vec index over it.

`vectors` holds one float16 vector for each embedding model and embedded text, however many chunks share the text, and
none without a chunk. `cut` means that the text was longer than the model's input. `vec_index_N` holds the signs of each
findable chunk's vector, one bit a dimension, partitioned by collection. A search takes several times as many candidates
as requested by Hamming distance and ranks them by the exact cosine. The index can be rebuilt from the table at any
time.
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

import hashlib
from collections.abc import Collection, Iterable, Sequence

import apsw
import numpy as np
import numpy.typing as npt

from appliance.store.database.connection import Row, rows, run
from appliance.store.rows import Matrix
from ingest.types import Vector

_CHUNK_SIZE = 1024  # of sqlite-vec; the fastest of 256 to 4096 at 100,000 chunks
# Recall of the first 10 is 0.988 with 100 candidates, measured on 3,800 chunks and 60 questions.
_OVERSAMPLE = 3
_LEAST_CANDIDATES = 100
_MOST_CANDIDATES = 4096  # sqlite-vec's own limit on k
_SLICE = 4096  # chunks in memory while the index is filled
_WITH_VECTOR = (
    "SELECT c.id, d.collection, c.document, v.vector FROM chunks c JOIN documents d ON d.id = c.document"
    " JOIN vectors v ON v.text_hash = c.text_hash AND v.embedder = ?"
)


def text_hash(text: str) -> bytes:
    """The key of an embedded text, 16 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def to_half(vector: Vector) -> bytes:
    """A vector in its stored form: float16, little endian."""
    return np.asarray(vector, dtype=np.float32).astype("<f2").tobytes()


def from_half(stored: Sequence[bytes], dimensions: int) -> Matrix:
    """Stored vectors as float32, shape (len(stored), dimensions)."""
    return np.frombuffer(b"".join(stored), "<f2").reshape(len(stored), dimensions).astype(np.float32)


def in_list(numbers: Collection[int]) -> str:
    """An SQL list such as `(1,2,3)`. The numbers are our own, never a client's text."""
    return f"({','.join(str(int(number)) for number in sorted(numbers))})"


class VectorIndex:
    """The vectors of one embedding model. Holds no connection; each method takes one."""

    def __init__(self, number: int, dimensions: int, identity: str, *, live: bool) -> None:
        """Without `live` the vectors have no index yet, and the methods that update it do nothing."""
        self.embedder = number
        self.dimensions = dimensions
        self.identity = identity
        self.live = live
        self.table = f"vec_index_{number}"
        self._padding = -dimensions % 8

    def create(self, connection: apsw.Connection) -> None:
        """Create the index table if it does not exist."""
        run(
            connection,
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.table} USING vec0 (collection INTEGER PARTITION KEY,"
            f" signs BIT[{self.dimensions + self._padding}], document INTEGER, chunk_size={_CHUNK_SIZE})",
        )

    def store(self, connection: apsw.Connection, vectors: Iterable[tuple[bytes, Vector]]) -> None:
        """Store vectors by their text's hash; existing ones stay as they are."""
        connection.executemany(
            "INSERT INTO vectors (embedder, text_hash, vector) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(self.embedder, key, to_half(vector)) for key, vector in vectors],
        ).fetchall()

    def known(self, connection: apsw.Connection, keys: Collection[bytes]) -> dict[bytes, Vector]:
        """Stored vectors by text hash, without unknown hashes."""
        found: list[Row] = []
        for key in keys:
            found += rows(
                connection,
                "SELECT text_hash, vector FROM vectors WHERE text_hash = ? AND embedder = ?",
                (key, self.embedder),
            )
        return {key: from_half([vector], self.dimensions)[0] for key, vector in found}

    def of_chunks(self, connection: apsw.Connection, chunks: Collection[int]) -> tuple[list[int], Matrix]:
        """The chunks that exist, ascending, and their vectors, shape (chunks, dimensions)."""
        found = rows(
            connection,
            "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.text_hash = c.text_hash AND v.embedder = ?"
            f" WHERE c.id IN {in_list(chunks)} ORDER BY c.id",
            (self.embedder,),
        )
        if not found:
            return [], np.empty((0, self.dimensions), np.float32)
        return [number for number, _ in found], from_half([vector for _, vector in found], self.dimensions)

    def index_revision(self, connection: apsw.Connection, revision: int, first_ordinal: int = 0) -> None:
        """Add the revision's chunks from `first_ordinal` on to the index."""
        if self.live:
            where = "c.revision = ? AND c.ordinal >= ? ORDER BY c.ordinal"
            self._insert(
                connection, rows(connection, f"{_WITH_VECTOR} WHERE {where}", (self.embedder, revision, first_ordinal))
            )

    def index_all(self, connection: apsw.Connection) -> None:
        """Add every chunk whose revision answers to a new index, one slice in memory at a time."""
        last = 0
        where = "c.id > ? AND coalesce(d.serving, d.building) = c.revision ORDER BY c.id LIMIT ?"
        while found := rows(connection, f"{_WITH_VECTOR} WHERE {where}", (self.embedder, last, _SLICE)):
            self._insert(connection, found)
            last = found[-1][0]

    def _insert(self, connection: apsw.Connection, stored: Sequence[Row]) -> None:
        if not stored:
            return
        signs = self._signs(from_half([vector for *_, vector in stored], self.dimensions))
        connection.executemany(
            f"INSERT INTO {self.table} (rowid, collection, signs, document) VALUES (?, ?, vec_bit(?), ?)",
            [
                (number, collection, one.tobytes(), document)
                for (number, collection, document, _), one in zip(stored, signs, strict=True)
            ],
        ).fetchall()

    def unindex_revision(self, connection: apsw.Connection, revision: int) -> None:
        """Take the revision's chunks out of the index. Their vectors stay."""
        if not self.live:
            return
        numbers = rows(connection, "SELECT id FROM chunks WHERE revision = ? ORDER BY id", (revision,))
        connection.executemany(f"DELETE FROM {self.table} WHERE rowid = ?", numbers).fetchall()

    def nearest(
        self,
        connection: apsw.Connection,
        vector: Vector,
        k: int,
        collections: Collection[int] | None,
        documents: Collection[int] | None,
    ) -> list[tuple[int, float]]:
        """The k chunks with the highest cosine to `vector`, best first, as (chunk, cosine)."""
        candidates = self._candidates(connection, vector, k, collections, documents)
        numbers, stored = self.of_chunks(connection, candidates)
        if not numbers:
            return []
        lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(vector)
        cosines = (stored @ np.asarray(vector, np.float32)) / np.maximum(lengths, 1e-12)
        order = np.lexsort((numbers, -cosines))[:k]
        return [(numbers[i], float(cosines[i])) for i in order]

    def _candidates(
        self,
        connection: apsw.Connection,
        vector: Vector,
        k: int,
        collections: Collection[int] | None,
        documents: Collection[int] | None,
    ) -> list[int]:
        wanted = min(_MOST_CANDIDATES, max(_LEAST_CANDIDATES, _OVERSAMPLE * k))
        where = ""
        if collections is not None:
            where += f" AND collection IN {in_list(collections)}"
        if documents is not None:
            where += f" AND document IN {in_list(documents)}"
        found = rows(  # sqlite-vec returns `wanted` of each named partition, or of all together if none is named
            connection,
            f"SELECT distance, rowid FROM {self.table} WHERE signs MATCH vec_bit(?) AND k = ?{where}",
            (self._signs(np.asarray(vector)[np.newaxis])[0].tobytes(), wanted),
        )
        return [number for _, number in sorted(found)[:wanted]]

    def _signs(self, vectors: Matrix) -> npt.NDArray[np.uint8]:
        """The signs as packed bits, one row for each vector."""
        return np.packbits(np.pad(vectors > 0, ((0, 0), (0, self._padding))), axis=1)
