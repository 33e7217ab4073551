"""Finds a quote in a text. Pure.

A quote is the page's own text, character for character. A passage is normalised: hyphenation joined, ligatures
resolved, white space single. People type what they see. So only letters and digits are compared, and each form is
found in the others.
"""

import unicodedata
from collections.abc import Iterator


def find_quote(text: str, quote: str) -> tuple[int, int] | None:
    """Return the start and end of the first occurrence of `quote` as string indices, or None."""
    return next(quote_spans(text, quote), None)


def quote_spans(text: str, quote: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each occurrence in order, without overlaps."""
    letters, positions = _letters(text)
    wanted, _ = _letters(quote)
    start = letters.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        yield positions[start], positions[end - 1] + 1
        start = letters.find(wanted, end)


def _letters(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of `text`, folded, and the index in `text` that each came from."""
    letters: list[str] = []
    positions: list[int] = []
    for index, character in enumerate(text):
        for letter in unicodedata.normalize("NFKD", character).casefold():
            if letter.isalnum():
                letters.append(letter)
                positions.append(index)
    return "".join(letters), positions
