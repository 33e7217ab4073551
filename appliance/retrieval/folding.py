"""Folds text for comparison: lower case, no diacritics, only words, English plurals as singulars. Pure."""

import re
import unicodedata

PIECE = re.compile(r"[^\W_]+")
"""A run of letters and digits."""


def fold(text: str) -> str:
    """Return the text in lower case without diacritics, as the full-text index compares it."""
    folded = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in folded if not unicodedata.combining(c))


def tokens(text: str) -> list[str]:
    """Return the folded tokens of a text, without the s of an English plural."""
    return [singular(piece) for piece in PIECE.findall(fold(text))]


def singular(token: str) -> str:
    """Return the token without the s of an English plural."""
    return token[:-1] if len(token) > 3 and token.endswith("s") and not token.endswith("ss") else token


def padded(text: str) -> str:
    """Join the tokens with a space around each, so that `in` finds whole phrases."""
    return f" {' '.join(tokens(text))} "
