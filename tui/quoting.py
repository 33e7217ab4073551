"""Where a quote stands in its passage. Pure.

A quote is the page's own text, character for character; the passage is the normalised one: hyphenation joined,
ligatures resolved, white space single. Both are compared by their letters and digits alone, so either is found.
"""

import unicodedata


def find_quote(passage: str, quote: str) -> tuple[int, int] | None:
    """Start and end of `quote` in `passage` as string indices, or None where it does not occur."""
    letters, positions = _letters(passage)
    wanted, _ = _letters(quote)
    start = letters.find(wanted) if wanted else -1
    if start < 0:
        return None
    return positions[start], positions[start + len(wanted) - 1] + 1


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
