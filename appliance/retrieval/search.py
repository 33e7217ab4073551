"""The retriever: a question -> the best passages, one a page.

Three steps. Documents: which ones does the question name (BM25 over names and first pages, name vectors). Passages:
candidates by BM25 and by vectors, from everywhere and from those documents once more, as the nearest of everything
would miss a page of the one report that was asked about. Ranking: all candidates by all evidence, see `fusion`.

A search reads one snapshot of the store, and embeds the question by the model whose vectors are in it. While there are
none, because an embedding model is being replaced whose files are gone, the full text answers alone.
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
_TRIES = 100
"""Snapshots taken until one has the vectors of a model that is open: the second does, as a change takes an instant."""


class View(Protocol):
    """One snapshot of the store; `embedder` names the model whose vectors it has, None where it has none."""

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
    """What the retriever needs of the store."""

    def view(self) -> AbstractContextManager[View]: ...


class QueryEmbedder(Protocol):
    """What the retriever needs of an embedding model."""

    def embed_query(self, text: str) -> Vector: ...


class Models(Protocol):
    """Lends embedding models by their identity; raises ModelGone for one that is not open any more."""

    def lease(self, identity: str | None = None) -> AbstractContextManager[QueryEmbedder]: ...


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

    def __init__(self, store: Index, models: Models) -> None:
        self._store = store
        self._models = models
        self._vectors: OrderedDict[tuple[str, str], Vector] = OrderedDict()
        self._lock = Lock()  # guards _vectors

    def search(self, query: str, *, k: int, collections: Collections = None, per_page: int = 1) -> Found:
        """The `k` best passages, `per_page` of a page at most; fewer if there are no more, none for a query without a
        word.
        """
        clock = _Clock()
        question = parse(query)
        if not question.words or k < 1:
            return Found([], question.text, {}, clock.timings())
        for _ in range(_TRIES):
            with self._store.view() as view, suppress(ModelGone), self._embedding(view) as embed:
                return _Search(view, embed, collections, clock).run(question, k, per_page)
        raise NotReady("searching", "the embedding model is being changed", "ask again")

    @contextmanager
    def _embedding(self, view: View) -> Iterator["Embed"]:
        """Makes vectors of queries by the model whose vectors the snapshot has; none, if it has none.

        Raises:
            ModelGone: another model has taken over since the snapshot was taken.
        """
        if view.embedder is None:
            yield lambda text: None
            return
        with self._models.lease(view.embedder) as model:
            yield partial(self._remembered, view.embedder, model)

    def _remembered(self, identity: str, model: QueryEmbedder, text: str) -> Vector:
        """The vector of a query; the last few are kept."""
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
"""A query's vector, None where the full text answers alone."""


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
        """Cosines of the candidates with both vectors; none where there are no vectors."""
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
    """Cosine of each row with the vector, shape (rows,); 0 for a row of zeros."""
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    cosines: Vector = (matrix @ vector) / np.maximum(lengths, 1e-12)
    return cosines
