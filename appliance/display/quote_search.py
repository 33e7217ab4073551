"""Where a quote stands in a text. Pure.

A quote is the page's own text, character for character; a passage is the normalised one: hyphenation joined, ligatures
resolved, white space single; and people type what they see. All are compared by their letters and digits alone, so each
is found in the other.
"""

import unicodedata
from collections.abc import Iterator


def find_quote(text: str, quote: str) -> tuple[int, int] | None:
    """Start and end of `quote` in `text` as string indices, or None where it does not occur."""
    return next(quote_spans(text, quote), None)


def quote_spans(text: str, quote: str) -> Iterator[tuple[int, int]]:
    """The same for each place where it occurs, from the start on; places do not overlap."""
    letters, positions = _letters(text)
    wanted, _ = _letters(quote)
    start = letters.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        yield positions[start], positions[end - 1] + 1
        start = letters.find(wanted, end)


def _letters(text: str) -> tuple[str, list[int]]:
    """The letters and digits of `text`, folded, and the index in `text` that each came from."""
    letters: list[str] = []
    positions: list[int] = []
    for index, character in enumerate(text):
        for letter in unicodedata.normalize("NFKD", character).casefold():
            if letter.isalnum():
                letters.append(letter)
                positions.append(index)
    return "".join(letters), positions
