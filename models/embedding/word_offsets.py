"""Where the tokens of a text lie, word by word from a cache: the words of a language repeat, and finding the tokens of
every sentence anew cost as much processor time as all other work on a page of prose together.

That is exact only for a tokenizer that splits at spaces before anything else, as BERT's do; `splits_at_spaces` tells.
"""

import json
from collections.abc import Callable
from functools import lru_cache

from tokenizers import Tokenizer

_WORDS, _LONGEST, _SHAPES = 1 << 14, 32, 1 << 11
"""Kept of them, and characters of one that is kept; ways in which words are split that are kept once for all of them:
some three megabytes in all."""

Spans = list[tuple[int, int]]


class WordOffsets:
    """The offsets that `encode(text)` gives for texts of any length, put together from those of their words."""

    def __init__(self, encode: Callable[[str], Spans]) -> None:
        shared = lru_cache(maxsize=_SHAPES)(tuple[tuple[int, int], ...])
        self._encode = encode
        self._known = lru_cache(maxsize=_WORDS)(lambda word: shared(tuple(encode(word))))

    def __call__(self, text: str) -> Spans:
        found: Spans = []
        at = 0
        for word in text.split(" "):
            known = self._known if len(word) <= _LONGEST else self._encode
            for begin, end in known(word):
                found.append((begin + at, end + at))
            at += len(word) + 1
        return found


def splits_at_spaces(tokenizer: Tokenizer) -> bool:
    """Whether no token and nothing that makes one reaches over a space."""
    described = json.loads(tokenizer.to_str())
    splitter, normalizer = described.get("pre_tokenizer") or {}, described.get("normalizer") or {}
    return (
        splitter.get("type") == "BertPreTokenizer"
        and normalizer.get("type", "BertNormalizer") == "BertNormalizer"
        and not described.get("truncation")
        and not any(" " in one["content"] or one["lstrip"] or one["rstrip"] for one in described["added_tokens"])
    )
