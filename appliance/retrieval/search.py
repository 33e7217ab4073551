"""The retriever: a question -> the best passages, one a page.

Three steps. Documents: which ones does the question name (BM25 over names and first pages, name vectors). Passages:
candidates by BM25 and by vectors, from everywhere and from those documents once more, as the nearest of everything
would miss a page of the one report that was asked about. Ranking: all candidates by all evidence, see `fusion`.
"""

import heapq
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Protocol

import numpy as np

from appliance.retrieval import fusion, sources
from appliance.retrieval.query import Question, expression, parse
from appliance.store.rows import Matrix, PassageRow
from ingest.types import Vector

Collections = Collection[bytes] | None
Ranking = list[tuple[int, float]]

_DOCUMENTS = 50
"""Documents considered for what the question's words, its telling words and its vector say of their names, each."""
_CLOSE_DOCUMENTS = 8
"""Documents whose passages are candidates even where nothing else finds them."""
_NAME_WEIGHTS = (2.0, 1.0)
_MATCHES = 100
_NEAREST = 100
_PASSAGE_COLUMNS = "heading text"
_PASSAGE_WEIGHTS = (0.0, 0.0, 1.0, 1.0)
_CACHED_VECTORS = 256


class Index(Protocol):
    """What the retriever needs of the store."""

    def match(
        self,
        query: str,
        *,
        limit: int,
        weights: Sequence[float] = ...,
        collections: Collections = None,
        documents_only: Collection[int] | None = None,
    ) -> Ranking: ...

    def nearest(
        self, vector: Vector, *, k: int, collections: Collections = None, documents_only: Collection[int] | None = None
    ) -> Ranking: ...

    def match_documents(
        self, query: str, *, limit: int, weights: Sequence[float] = ..., collections: Collections = None
    ) -> Ranking: ...

    def sources(self, documents: Collection[int]) -> dict[int, tuple[str, str]]: ...

    def name_vectors(self, collections: Collections = None) -> tuple[list[int], Matrix]: ...

    def vectors(self, chunks: Collection[int]) -> tuple[list[int], Matrix]: ...

    def passages(self, chunks: Sequence[int]) -> list[PassageRow]: ...


class QueryEmbedder(Protocol):
    """What the retriever needs of the embedding model."""

    def embed_query(self, text: str) -> Vector: ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found; the higher the score the better, comparable within one search only."""

    passage: PassageRow
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    hits: list[Hit]
    """Best first."""
    sought: str
    """The question without the words that name its source."""
    sources: dict[int, str]
    """Name and first words of the hits' documents, by number."""
    timings: dict[str, float]
    """Seconds of each step: embed, match, nearest, rank, total."""


class Retriever:
    """Searches one store. Every method may be called from any thread and blocks: call it through a worker thread."""

    def __init__(self, store: Index, embedder: QueryEmbedder) -> None:
        self._store = store
        self._embedder = embedder
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._lock = Lock()  # guards _vectors

    def search(self, query: str, *, k: int, collections: Collections = None, per_page: int = 1) -> Found:
        """The `k` best passages, `per_page` of a page at most; fewer if there are no more, none for a query without a
        word.
        """
        clock = _Clock()
        question = parse(query)
        if not question.words or k < 1:
            return Found([], question.text, {}, clock.timings())
        with clock.step("embed"):
            whole = self.embed(question.text)
        named = self._named(question, whole, collections, clock)
        with clock.step("embed"):
            rest = self.embed("; ".join([named.rest.text, *named.rest.other_names]))
        lexical = self._match(question, named, collections, clock)
        near = self._nearest(whole, rest, named, collections, clock)
        with clock.step("rank"):
            hits = self._rank(lexical, near, whole, rest, named, k, per_page)
            names = self._store.sources({hit.passage.document for hit in hits})
        sources_text = {number: " ".join(texts) for number, texts in names.items()}
        return Found(hits, named.rest.text, sources_text, clock.timings())

    def embed(self, text: str) -> Vector:
        """The vector of a query, remembered for the last few."""
        with self._lock:
            if text in self._vectors:
                self._vectors.move_to_end(text)
                return self._vectors[text]
        vector = self._embedder.embed_query(text)
        with self._lock:
            self._vectors[text] = vector
            while len(self._vectors) > _CACHED_VECTORS:
                self._vectors.popitem(last=False)
        return vector

    def _named(self, question: Question, whole: Vector, collections: Collections, clock: "_Clock") -> sources.Sources:
        with clock.step("match"):
            found = self._documents(expression(question.terms), collections)
            found |= self._documents(expression(w for w in question.words if w.telling), collections)
        with clock.step("nearest"):
            numbers, matrix = self._store.name_vectors(collections)
            cosines = dict(zip(numbers, _cosines(matrix, whole).tolist(), strict=True))
            found |= set(heapq.nlargest(_DOCUMENTS, cosines, key=cosines.__getitem__))
        with clock.step("match"):
            names = self._store.sources(found)
            return sources.resolve(question, sources.rank(question, names, cosines), names)

    def _documents(self, query: str, collections: Collections) -> set[int]:
        if not query:
            return set()
        found = self._store.match_documents(query, limit=_DOCUMENTS, weights=_NAME_WEIGHTS, collections=collections)
        return {number for number, _ in found}

    def _match(
        self, question: Question, named: sources.Sources, collections: Collections, clock: "_Clock"
    ) -> dict[int, float]:
        also = [*named.rest.other_names, *(phrase for day in question.days for phrase in day)]
        query = expression(named.rest.terms, _PASSAGE_COLUMNS, also)
        found: dict[int, float] = {}
        with clock.step("match"):
            for within in (None, _closest(named)):
                if within is None or within:
                    found |= self._store.match(
                        query, limit=_MATCHES, weights=_PASSAGE_WEIGHTS, collections=collections, documents_only=within
                    )
        return found

    def _nearest(
        self, whole: Vector, rest: Vector, named: sources.Sources, collections: Collections, clock: "_Clock"
    ) -> list[int]:
        within = _closest(named)
        with clock.step("nearest"):
            found = self._store.nearest(whole, k=_NEAREST, collections=collections)
            if within:
                found += self._store.nearest(rest, k=_NEAREST, collections=collections, documents_only=within)
        return [number for number, _ in found]

    def _rank(
        self,
        lexical: Mapping[int, float],
        near: Sequence[int],
        whole: Vector,
        rest: Vector,
        named: sources.Sources,
        k: int,
        per_page: int,
    ) -> list[Hit]:
        candidates = sorted({*lexical, *near})
        numbers, matrix = self._store.vectors(candidates)
        with_whole = dict(zip(numbers, _cosines(matrix, whole), strict=True))
        with_rest = dict(zip(numbers, _cosines(matrix, rest), strict=True))
        rows = {row.chunk: row for row in self._store.passages(candidates)}
        ranked = fusion.fuse(
            {
                number: fusion.Evidence(
                    whole=float(with_whole.get(number, 0.0)),
                    rest=float(with_rest.get(number, 0.0)),
                    lexical=lexical.get(number, 0.0),
                    source=named.score(row.document),
                )
                for number, row in rows.items()
            }
        )
        hits = (Hit(rows[number], score) for number, score in ranked)
        return fusion.first_of_each(((hit, (hit.passage.document, hit.passage.page)) for hit in hits), k, per_page)


class _Clock:
    """Adds up the seconds of named steps."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._steps = dict.fromkeys(("embed", "match", "nearest", "rank"), 0.0)

    def step(self, name: str) -> "_Step":
        return _Step(self._steps, name)

    def timings(self) -> dict[str, float]:
        return {**self._steps, "total": perf_counter() - self._start}


class _Step:
    def __init__(self, steps: dict[str, float], name: str) -> None:
        self._steps, self._name, self._start = steps, name, 0.0

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._steps[self._name] += perf_counter() - self._start


def _closest(named: sources.Sources) -> list[int]:
    return list(named.scores)[:_CLOSE_DOCUMENTS]


def _cosines(matrix: Matrix, vector: Vector) -> Vector:
    """Cosine of each row with the vector, shape (rows,); 0 for a row of zeros."""
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    cosines: Vector = (matrix @ vector) / np.maximum(lengths, 1e-12)
    return cosines
