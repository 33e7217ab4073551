"""Checks whether a passage supports a claim, and where. Pure except for the embedder passed in.

Supported means: the quote has every number of the claim, and either shares at least half of the claim's words or means
nearly the same by the embedding model. This compares words, it proves nothing: a quote that says the opposite in the
same words passes.
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
"""Stretches of a passage that are embedded for one claim, the best by words. Chosen by eye."""
_LEAST_SHARED = 0.5
"""Share of the claim's words in a supporting quote. Chosen by eye."""
_LEAST_COSINE = 0.6
"""Cosine of claim and a supporting quote. Chosen by eye."""
_LENGTH_PENALTY = 0.05
"""Per 200 characters, so that the shorter of two equal stretches wins. Chosen by eye."""


class PassageEmbedder(Protocol):
    """The part of the embedding model that is used here."""

    def embed_query(self, text: str) -> Vector: ...

    def embed_passages(self, texts: Iterable[str]) -> Iterator[Vector]: ...


@dataclass(frozen=True, slots=True)
class Support:
    """The stretch `[start, end)` of a passage's text that supports a claim best; `score` is 0 to 1."""

    start: int
    end: int
    supported: bool
    score: float


def best_support(claim: str, passage: str, embedder: PassageEmbedder) -> Support | None:
    """Find the sentence or row, or two consecutive ones, that says most of the claim; None for an empty passage."""
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
    """Return the words of a text without stop words and numbers, folded; `numbers` returns those."""
    words = (token for word in parse(text).words if not word.stop for token in tokens(word.text))
    return frozenset(token for token in words if not token.isdigit())


def numbers(text: str) -> frozenset[str]:
    """Return the numbers of a text in plain form: 1,234.50 becomes 1234.5."""
    return frozenset(_plain(found) for found in _NUMBER.findall(text))


def share(wanted: frozenset[str], text: str) -> float:
    """Return the share of the wanted words that the text has, 0 to 1; 1 if none is wanted."""
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
    """Return the cosine of two vectors, 0 if one of them is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 0 else 0.0


def _plain(number: str) -> str:
    groups = re.split(r"[.,]", number)
    if len(groups) > 1 and all(len(group) == 3 for group in groups[1:]):
        return "".join(groups)  # 1,234 and 1.234.567: thousands
    whole, fraction = "".join(groups[:-1]) or groups[-1], groups[-1] if len(groups) > 1 else ""
    return f"{whole}.{fraction.rstrip('0')}".rstrip(".")
