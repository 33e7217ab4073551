"""Computes the offsets of a text's tokens word by word, from a cache.

The words of a language repeat. Without the cache, tokenising every sentence cost as much CPU time as all other work on
a page of prose together. Exact only for a tokenizer that splits at spaces before anything else, as BERT's do: check
`splits_at_spaces`.
"""

import json
from collections.abc import Callable
from functools import lru_cache

from tokenizers import Tokenizer

_WORDS, _LONGEST, _SHAPES = 1 << 14, 32, 1 << 11
"""Limits: cached words, characters of a cached word, cached splits, which words share. About 3 MB in total."""

Spans = list[tuple[int, int]]


class WordOffsets:
    """Computes what `encode(text)` would return from the offsets of the text's words."""

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
    """Whether no token crosses a space, and no rule that makes tokens looks across one."""
    described = json.loads(tokenizer.to_str())
    splitter, normalizer = described.get("pre_tokenizer") or {}, described.get("normalizer") or {}
    return (
        splitter.get("type") == "BertPreTokenizer"
        and normalizer.get("type", "BertNormalizer") == "BertNormalizer"
        and not described.get("truncation")
        and not any(" " in one["content"] or one["lstrip"] or one["rstrip"] for one in described["added_tokens"])
    )
