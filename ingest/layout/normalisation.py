"""Normalises a page's words into the form in which they are embedded, searched and read. Pure.

Applies canonical composition, and those compatibility forms that only look different: ligatures, full and half width,
letters of mathematical alphabets, Arabic presentation forms, Roman numerals. Not the others of NFKC, which would turn
"10²" into "102" and "½" into "1⁄2". Removes what cannot be read: control and format characters, private-use glyphs of
symbol fonts.
"""

import unicodedata
from functools import lru_cache

_SAME = ("<font>", "<wide>", "<narrow>", "<compat>", "<initial>", "<medial>", "<final>", "<isolated>")
_KEPT = "…‥"
_REMOVED_CATEGORIES = frozenset(("Cc", "Cf", "Co", "Cs", "Cn"))
BULLETS = frozenset("•‣◦●○▪▫■□◆◇►▸❖✓✔➢➤→∙·*–—-")


def normalised(word: str) -> str:
    """The readable form of a word; empty if nothing of it can be read.

    >>> normalised("ﬁnance"), normalised("10²")
    ('finance', '10²')
    """
    if word.isascii():
        return word if word.isprintable() else "".join(filter(str.isprintable, word))
    word = unicodedata.normalize("NFC", "".join(map(_plain, word)))
    if word.isprintable():
        return word
    return "".join(c for c in word if unicodedata.category(c) not in _REMOVED_CATEGORIES)


@lru_cache(maxsize=1024)
def _plain(character: str) -> str:
    """The plain character that a character only looks different from.

    Itself if there is none, or if that were more than one word.
    """
    if character.isascii() or character in _KEPT or not unicodedata.decomposition(character).startswith(_SAME):
        return character
    plain = unicodedata.normalize("NFKC", character)
    return character if " " in plain else plain


def is_bullet(word: str) -> bool:
    """Whether a word is the mark of a list item."""
    return len(word) == 1 and word in BULLETS
