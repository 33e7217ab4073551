"""Scores search results against the pages known to answer each question. Pure.

The unit is the page. A result names the pages `first` to `last` of one document, and is right if one of them answers
the question. Ranks count from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One search result: the document's path relative to the library, and its pages."""

    document: str
    first: int
    last: int

    def pages(self) -> range:
        return range(self.first, self.last + 1)


@dataclass(frozen=True, slots=True)
class Expected:
    """The pages of a document that answer a question; if empty, any page of it does."""

    document: str
    pages: frozenset[int]


@dataclass(frozen=True, slots=True)
class Scores:
    """The number of questions, and means over them, each from 0 to 1."""

    questions: int
    hit_at_1: float
    hit_at_5: float
    evidence_at_5: float
    """Share of a question's answering pages that the first five results name; each question counts the same."""
    document_at_5: float
    reciprocal_rank: float
    """1 / rank of the first right result, 0 if there is none."""


def is_right(result: Result, expected: Expected) -> bool:
    """Whether the result names a page that answers the question."""
    if result.document != expected.document:
        return False
    return not expected.pages or not expected.pages.isdisjoint(result.pages())


def rank(results: Sequence[Result], expected: Expected) -> int:
    """Rank of the first right result, 0 if there is none."""
    return next((number for number, result in enumerate(results, 1) if is_right(result, expected)), 0)


def evidence(results: Sequence[Result], expected: Expected, k: int) -> float:
    """Share of the answering pages that the first `k` results name."""
    if not expected.pages:
        return float(0 < rank(results, expected) <= k)
    named = {page for result in results[:k] if result.document == expected.document for page in result.pages()}
    return len(expected.pages & named) / len(expected.pages)


def score(searches: Sequence[tuple[Expected, Sequence[Result]]]) -> Scores:
    """Averages the metrics over (expected, results) pairs."""
    ranks = [rank(results, expected) for expected, results in searches]
    return Scores(
        questions=len(searches),
        hit_at_1=_mean([float(one == 1) for one in ranks]),
        hit_at_5=_mean([float(1 <= one <= 5) for one in ranks]),
        evidence_at_5=_mean([evidence(results, expected, 5) for expected, results in searches]),
        document_at_5=_mean(
            [float(any(r.document == expected.document for r in results[:5])) for expected, results in searches]
        ),
        reciprocal_rank=_mean([1 / one if one else 0.0 for one in ranks]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
