"""A page's own word -> the form in which it is embedded, searched and read.

Canonical composition and expanded ligatures, nothing more: compatibility forms (NFKC) would turn "10²" into "102" and
"½" into "1⁄2". What cannot be read is removed: control and format characters, private-use glyphs of symbol fonts.
"""

import unicodedata

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_REMOVED_CATEGORIES = frozenset(("Cc", "Cf", "Co", "Cs", "Cn"))
BULLETS = frozenset("•‣◦●○▪▫■□◆◇►▸❖✓✔➢➤→∙·*–—-")


def normalised(word: str) -> str:
    """The readable form of a word; empty when nothing of it can be read."""
    if word.isascii():
        return word if word.isprintable() else "".join(filter(str.isprintable, word))
    word = unicodedata.normalize("NFC", word.translate(_LIGATURES))
    if word.isprintable():
        return word
    return "".join(c for c in word if unicodedata.category(c) not in _REMOVED_CATEGORIES)


def is_bullet(word: str) -> bool:
    """Whether a whole word is the mark of a list item."""
    return len(word) == 1 and word in BULLETS
