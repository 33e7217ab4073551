"""Finds the best passages for a question, one per page.

Three steps. Documents: find those that the question names (BM25 over names and first pages, name vectors). Passages:
take candidates by BM25 and by vectors, from all documents and again from the named ones, since the nearest of all
passages would miss a page of the one report the question is about. Ranking: fuse all evidence, see `fusion`.

A search reads one snapshot of the store, and embeds the question with the model whose vectors the snapshot has. If it
has none, because the files of an embedding model being replaced are gone, the full-text index answers alone.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock
from time import perf_counter
from typing import Protocol

import numpy as np

from appliance.errors import NotReady
from appliance.retrieval import fusion, sources
from appliance.retrieval.query import Question, expression, parse
from appliance.store import ModelGone
from appliance.store.rows import Matrix, PassageRow
from ingest.types import Vector

Collections = Collection[bytes] | None
Ranking = list[tuple[int, float]]

# Checked together by `benchmarks/retrieval.py`: page among the first five for 0.97 of 60 questions, median 27 ms.
_DOCUMENTS = 50
"""Documents considered by each of the question's words, its telling words, and its vector."""
_CLOSE_DOCUMENTS = 8
"""Best named documents, whose passages are searched once more by themselves."""
_NAME_WEIGHTS = (2.0, 1.0)
"""BM25 weights of a document's name and of its first page."""
_MATCHES = 100
_NEAREST = 100
_PASSAGE_COLUMNS = "heading text"
_PASSAGE_WEIGHTS = (0.0, 0.0, 1.0, 1.0)
"""BM25 weights of a passage's columns; that of headings makes little difference."""
_CACHED_VECTORS = 256
"""Vectors of recent queries. Chosen by eye."""
_TRIES = 100
"""Snapshots tried until one has the vectors of an open model: usually the second, as a change takes an instant."""


class View(Protocol):
    """One snapshot of the store; `embedder` identifies the model of its vectors, None if it has none."""

    @property
    def embedder(self) -> str | None: ...

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


class Index(Protocol):
    """The part of the store that is used here."""

    def snapshot(self) -> AbstractContextManager[View]: ...


class QueryEmbedder(Protocol):
    """The part of an embedding model that is used here."""

    def embed_query(self, text: str) -> Vector: ...


class Models(Protocol):
    """Leases embedding models by identity; raises ModelGone for one that is no longer open."""

    def lease(self, identity: str | None = None) -> AbstractContextManager[QueryEmbedder]: ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage; a higher score is better, comparable only within one search."""

    passage: PassageRow
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search."""

    hits: list[Hit]
    """Best first."""
    sought: str
    """The question without the words that name its source."""
    sources: dict[int, str]
    """Name and first words of the hits' documents, by document number."""
    timings: dict[str, float]
    """Seconds of each step: embed, match, nearest, rank, total."""


class Retriever:
    """Searches one store. Thread-safe and blocking: call it in a worker thread."""

    def __init__(self, store: Index, models: Models) -> None:
        self._store = store
        self._models = models
        self._vectors: OrderedDict[tuple[str, str], Vector] = OrderedDict()
        self._lock = Lock()  # guards _vectors

    def search(self, query: str, *, k: int, collections: Collections = None, per_page: int = 1) -> Found:
        """Return the `k` best passages, at most `per_page` of a page; fewer if there are no more, none without words.

        Raises:
            NotReady: the embedding model kept changing during the search.
        """
        clock = _Clock()
        question = parse(query)
        if not question.words or k < 1:
            return Found([], question.text, {}, clock.timings())
        for _ in range(_TRIES):
            with self._store.snapshot() as view, suppress(ModelGone), self._embedding(view) as embed:
                return _Search(view, embed, collections, clock).run(question, k, per_page)
        raise NotReady("searching", "the embedding model is being changed", "try again in a few seconds")

    @contextmanager
    def _embedding(self, view: View) -> Iterator["Embed"]:
        """Lease the model of the snapshot's vectors; without vectors, yield a function that returns None.

        Raises:
            ModelGone: another model has replaced it since the snapshot was taken.
        """
        if view.embedder is None:
            yield lambda text: None
            return
        with self._models.lease(view.embedder) as model:
            yield partial(self._cached, view.embedder, model)

    def _cached(self, identity: str, model: QueryEmbedder, text: str) -> Vector:
        """Embed a query, through a cache of the most recent ones."""
        with self._lock:
            if (identity, text) in self._vectors:
                self._vectors.move_to_end((identity, text))
                return self._vectors[identity, text]
        vector = model.embed_query(text)
        with self._lock:
            self._vectors[identity, text] = vector
            while len(self._vectors) > _CACHED_VECTORS:
                self._vectors.popitem(last=False)
        return vector


Embed = Callable[[str], Vector | None]
"""Embeds a query; returns None if the full-text index answers alone."""


class _Search:
    """One search in one snapshot."""

    def __init__(self, view: View, embed: Embed, collections: Collections, clock: "_Clock") -> None:
        self._view = view
        self._embed = embed
        self._collections = collections
        self._clock = clock

    def run(self, question: Question, k: int, per_page: int) -> Found:
        with self._clock.step("embed"):
            whole = self._embed(question.text)
        named = self._named(question, whole)
        with self._clock.step("embed"):
            rest = self._embed("; ".join([named.rest.text, *named.rest.other_names]))
        lexical = self._match(question, named)
        near = self._nearest(whole, rest, named)
        with self._clock.step("rank"):
            hits = self._rank(lexical, near, whole, rest, named, k, per_page)
            names = self._view.sources({hit.passage.document for hit in hits})
        sources_text = {number: " ".join(texts) for number, texts in names.items()}
        return Found(hits, named.rest.text, sources_text, self._clock.timings())

    def _named(self, question: Question, whole: Vector | None) -> sources.Sources:
        with self._clock.step("match"):
            found = self._documents(expression(question.terms))
            found |= self._documents(expression(w for w in question.words if w.telling))
        cosines: dict[int, float] = {}
        with self._clock.step("nearest"):
            if whole is not None:
                numbers, matrix = self._view.name_vectors(self._collections)
                cosines = dict(zip(numbers, _cosines(matrix, whole).tolist(), strict=True))
                found |= set(heapq.nlargest(_DOCUMENTS, cosines, key=cosines.__getitem__))
        with self._clock.step("match"):
            names = self._view.sources(found)
            return sources.resolve(question, sources.rank(question, names, cosines), names)

    def _documents(self, query: str) -> set[int]:
        if not query:
            return set()
        found = self._view.match_documents(
            query, limit=_DOCUMENTS, weights=_NAME_WEIGHTS, collections=self._collections
        )
        return {number for number, _ in found}

    def _match(self, question: Question, named: sources.Sources) -> dict[int, float]:
        also = [*named.rest.other_names, *(phrase for day in question.days for phrase in day)]
        query = expression(named.rest.terms, _PASSAGE_COLUMNS, also)
        found: dict[int, float] = {}
        with self._clock.step("match"):
            for within in (None, _closest(named)):
                if within is None or within:
                    found |= self._view.match(
                        query,
                        limit=_MATCHES,
                        weights=_PASSAGE_WEIGHTS,
                        collections=self._collections,
                        documents_only=within,
                    )
        return found

    def _nearest(self, whole: Vector | None, rest: Vector | None, named: sources.Sources) -> list[int]:
        if whole is None or rest is None:
            return []
        within = _closest(named)
        with self._clock.step("nearest"):
            found = self._view.nearest(whole, k=_NEAREST, collections=self._collections)
            if within:
                found += self._view.nearest(rest, k=_NEAREST, collections=self._collections, documents_only=within)
        return [number for number, _ in found]

    def _rank(
        self,
        lexical: Mapping[int, float],
        near: Sequence[int],
        whole: Vector | None,
        rest: Vector | None,
        named: sources.Sources,
        k: int,
        per_page: int,
    ) -> list[Hit]:
        candidates = sorted({*lexical, *near})
        with_whole, with_rest = self._compared(candidates, whole, rest)
        rows = {row.chunk: row for row in self._view.passages(candidates)}
        ranked = fusion.fuse(
            {
                number: fusion.Evidence(
                    whole=with_whole.get(number, 0.0),
                    rest=with_rest.get(number, 0.0),
                    lexical=lexical.get(number, 0.0),
                    source=named.score(row.document),
                )
                for number, row in rows.items()
            }
        )
        hits = (Hit(rows[number], score) for number, score in ranked)
        return fusion.first_of_each(((hit, (hit.passage.document, hit.passage.page)) for hit in hits), k, per_page)

    def _compared(
        self, candidates: Sequence[int], whole: Vector | None, rest: Vector | None
    ) -> tuple[dict[int, float], dict[int, float]]:
        """Return the candidates' cosines with both vectors, by number; empty if there are no vectors."""
        if whole is None or rest is None:
            return {}, {}
        numbers, matrix = self._view.vectors(candidates)
        return (
            dict(zip(numbers, _cosines(matrix, whole).tolist(), strict=True)),
            dict(zip(numbers, _cosines(matrix, rest).tolist(), strict=True)),
        )


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
    """Return the cosine of each row with the vector, shape (rows,); 0 for a row of zeros."""
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    cosines: Vector = (matrix @ vector) / np.maximum(lengths, 1e-12)
    return cosines
