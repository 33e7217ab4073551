"""Reads the store for one search, in one snapshot: all results fit together, whatever is written meanwhile.

Rule: only vectors of the model `Snapshot.embedder` may be compared with the snapshot's, so a search takes its model
from here and nowhere else.
"""

from collections.abc import Collection, Sequence

import apsw
import numpy as np

from appliance.store.indexes import document_names, document_sources, fulltext
from appliance.store.rows import Matrix, PassageRow
from appliance.store.tables import documents, embedders, passages, revisions
from ingest.types import Vector

Collections = Collection[bytes] | None
EQUAL_WEIGHTS = (1.0,) * len(fulltext.COLUMNS)


class Snapshot:
    """Reads on one connection inside one transaction. Only for the thread that opened it (`Store.snapshot`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._index = embedders.serving(connection)  # the first read: the snapshot begins here
        self.embedder = self._index.identity if self._index else None
        """Identity of the model that made the vectors; None while there are none, and vector searches find nothing."""

    def match(
        self,
        query: str,
        *,
        limit: int,
        weights: Sequence[float] = EQUAL_WEIGHTS,
        collections: Collections = None,
        documents_only: Collection[int] | None = None,
    ) -> list[tuple[int, float]]:
        """The `limit` best chunks for a query in FTS5's syntax as (chunk, BM25 score), highest first.

        `weights` belong to `fulltext.COLUMNS`: name, about, heading, text.
        """
        hidden = revisions.hidden(self._connection)
        return fulltext.match(
            self._connection, query, limit, weights, self._within(collections), documents_only, hidden
        )

    def nearest(
        self, vector: Vector, *, k: int, collections: Collections = None, documents_only: Collection[int] | None = None
    ) -> list[tuple[int, float]]:
        """The k chunks nearest to a vector of shape (dimensions,) as (chunk, cosine), best first."""
        if self._index is None:
            return []
        return self._index.nearest(self._connection, vector, k, self._within(collections), documents_only)

    def match_documents(
        self, query: str, *, limit: int, weights: Sequence[float] = (1.0, 1.0), collections: Collections = None
    ) -> list[tuple[int, float]]:
        """The `limit` documents whose name and first page best match a query in FTS5's syntax, as (number, BM25 score).

        `weights` belong to `document_sources.COLUMNS`: name, about.
        """
        return document_sources.match(self._connection, query, limit, weights, self._within(collections))

    def sources(self, numbers: Collection[int]) -> dict[int, tuple[str, str]]:
        """The (name, about) columns that `match_documents` searches, by document number."""
        return document_sources.of_documents(self._connection, numbers)

    def name_vectors(self, collections: Collections = None) -> tuple[list[int], Matrix]:
        """The numbers of the findable documents, and the vectors of their names, shape (documents, dimensions)."""
        if self._index is None:
            return [], np.empty((0, 0), np.float32)
        within = self._within(collections)
        return document_names.matrix(self._connection, self._index.embedder, self._index.dimensions, within)

    def vectors(self, chunks: Collection[int]) -> tuple[list[int], Matrix]:
        """The chunks that still exist, ascending, and their vectors, shape (chunks, dimensions)."""
        if self._index is None:
            return [], np.empty((0, 0), np.float32)
        return self._index.of_chunks(self._connection, chunks)

    def passages(self, chunks: Sequence[int]) -> list[PassageRow]:
        """The chunks in the given order, without those that no longer answer."""
        return passages.passages(self._connection, chunks)

    def _within(self, collections: Collections) -> list[int] | None:
        return documents.collection_numbers(self._connection, collections)
