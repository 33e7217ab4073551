"""Whether a passage says what a claim says, and where. Pure but for the embedder it is given.

Supported means: every number of the claim stands in the quote, and the quote either shares most of the claim's words
or means nearly the same by the embedding model. It is a check of words, not a proof: a quote that says the opposite
with the same words passes.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from appliance.answering.segments import Segment, segments, window
from appliance.retrieval.folding import tokens
from appliance.retrieval.query import parse
from ingest.types import Vector

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_COMPARED = 4
"""Stretches of a passage that are embedded for one claim, the best by words."""
_LEAST_SHARED = 0.5
_LEAST_COSINE = 0.6
_LENGTH_PENALTY = 0.05


class PassageEmbedder(Protocol):
    """What is needed of the embedding model."""

    def embed_query(self, text: str) -> Vector: ...

    def embed_passages(self, texts: Iterable[str]) -> Iterator[Vector]: ...


@dataclass(frozen=True, slots=True)
class Support:
    """The stretch `[start, end)` of a passage's text that supports a claim best; `score` from 0 to 1."""

    start: int
    end: int
    supported: bool
    score: float


def best_support(claim: str, passage: str, embedder: PassageEmbedder) -> Support | None:
    """The sentence or row of the passage, or two that follow each other, that says most of the claim."""
    stretches = _stretches(passage)
    if not stretches:
        return None
    wanted, figures = content(claim), numbers(claim)
    ranked = sorted(stretches, key=lambda part: -_by_words(wanted, figures, part))[:_COMPARED]
    cosines = _cosines(claim, [part.text for part in ranked], embedder)
    scored = [
        (_by_words(wanted, figures, part) + cosine, index, part, cosine)
        for index, (part, cosine) in enumerate(zip(ranked, cosines, strict=True))
    ]
    _, _, part, cosine = max(scored, key=lambda item: (item[0], -item[1]))
    shared = share(wanted, part.text)
    supported = (
        bool(wanted or figures)
        and figures <= numbers(part.text)
        and (shared >= _LEAST_SHARED or cosine >= _LEAST_COSINE)
    )
    return Support(part.start, part.end, supported, round(max(0.0, min(1.0, (shared + cosine) / 2)), 4))


def content(text: str) -> frozenset[str]:
    """The words of a text that mean something, folded; numbers are compared by `numbers`."""
    words = (token for word in parse(text).words if not word.stop for token in tokens(word.text))
    return frozenset(token for token in words if not token.isdigit())


def numbers(text: str) -> frozenset[str]:
    """The numbers of a text, without thousands separators: 1,234.50 is 1234.5."""
    return frozenset(_plain(found) for found in _NUMBER.findall(text))


def share(wanted: frozenset[str], text: str) -> float:
    """How many of the words the text has, from 0 to 1; all of none."""
    return len(wanted & frozenset(tokens(text))) / len(wanted) if wanted else 1.0


def _stretches(passage: str) -> list[Segment]:
    parts = segments(passage)
    pairs = [window(pair, passage) for pair in pairwise(parts)]
    return [*(part for part in parts if not part.is_heading), *pairs] or parts


def _by_words(wanted: frozenset[str], figures: frozenset[str], part: Segment) -> float:
    found = len(figures & numbers(part.text)) / len(figures) if figures else 0.0
    return share(wanted, part.text) + found - _LENGTH_PENALTY * len(part.text) / 200


def _cosines(claim: str, texts: Sequence[str], embedder: PassageEmbedder) -> list[float]:
    vector = embedder.embed_query(claim)
    return [cosine(vector, other) for other in embedder.embed_passages(texts)]


def cosine(one: Vector, other: Vector) -> float:
    """Cosine of two vectors, 0 if one has no length."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 0 else 0.0


def _plain(number: str) -> str:
    groups = re.split(r"[.,]", number)
    if len(groups) > 1 and all(len(group) == 3 for group in groups[1:]):
        return "".join(groups)  # 1,234 and 1.234.567: thousands
    whole, fraction = "".join(groups[:-1]) or groups[-1], groups[-1] if len(groups) > 1 else ""
    return f"{whole}.{fraction.rstrip('0')}".rstrip(".")
