"""Text as a search compares it: lower case, no diacritics, words alone, English plurals as singulars. Pure."""

import re
import unicodedata

PIECE = re.compile(r"[^\W_]+")
"""A run of letters and digits."""


def fold(text: str) -> str:
    """Lower case without diacritics, as the full text compares."""
    folded = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in folded if not unicodedata.combining(c))


def tokens(text: str) -> list[str]:
    """The folded tokens of a text, an English plural's s dropped."""
    return [singular(piece) for piece in PIECE.findall(fold(text))]


def singular(token: str) -> str:
    """The token without the s of an English plural."""
    return token[:-1] if len(token) > 3 and token.endswith("s") and not token.endswith("ss") else token


def padded(text: str) -> str:
    """The tokens with a space around each, so that a phrase is found by `in`."""
    return f" {' '.join(tokens(text))} "
