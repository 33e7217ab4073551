"""Joins words into text: normalised words, each with its source and the gap before it. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from ingest.types import Box

_HYPHENS = ("-", "\u2010")
_BEFORE_WORD = "([\"“‘'"
_SHORTEST_WORD = 4  # letters of a known word whose hyphen is kept; see "A hyphen at a line's end" in docs/decisions.md
_AFTER_WORD = ".,;:)”\"'’"
# A hyphen after one of these belongs to the word more often than to the line's end.
_PREFIXES = """
anti cross double eight first five four full half high long low mid multi nine non part post second self seven short
single six ten third three two well year
"""
_KEPT_PREFIXES = frozenset(_PREFIXES.split())
# Words that end compounds: "exchange-traded", "fixed-rate".
_TAILS = """
aware backed based bearing bound built class controlled cost current dependent down driven effective end equity facing
family featured fixed free friendly funded grade growth held high holders hour income interest led level like line
linked made market minute month named off only oriented out owned paid party performance point premises priced producing
quality quarter range rate rated ready related resistant risk scale section sector sensitive service settled share
sharing side site size speed staff standard state step style taking term tested third tier time to traded trading type
up value weighted wide winning woven year
"""
_KEPT_TAILS = frozenset(_TAILS.split())


Known = Callable[[str], bool]
"""Whether a string in small letters is a word."""


class LineWord(NamedTuple):
    """A normalised word, the gap before it (nothing, a space, or the gap between cells), and its source."""

    text: str
    gap: str
    page: int
    start: int
    end: int
    box: Box


def render(pieces: list[LineWord]) -> str:
    """The words as text, with the gaps between them but not the first one's."""
    return "".join([piece.gap + piece.text for piece in pieces])[len(pieces[0].gap) :] if pieces else ""


def append_line(pieces: list[LineWord], line: list[LineWord], known: Known | None = None) -> None:
    """Append the next line of the same text to `pieces`; a word hyphenated at a line's end is joined.

    With `known`, two known words that make no known one keep their hyphen ("mixed-mode").
    """
    first = line[0]
    if not pieces:
        gap = first.gap
    elif _is_hyphenated(pieces[-1].text, first.text, known):
        pieces[-1] = pieces[-1]._replace(text=pieces[-1].text[:-1])
        gap = ""
    else:
        gap = "" if pieces[-1].text.endswith(_HYPHENS) and len(pieces[-1].text) > 1 else " "
    pieces.append(first._replace(gap=gap))
    pieces += line[1:]


def _is_hyphenated(word: str, following: str, known: Known | None) -> bool:
    """Whether the hyphen at a line's end comes from the line break and not from the word."""
    stem = word[:-1]
    if not (word.endswith(_HYPHENS) and stem[-1:].isalpha() and following[0].islower() and "-" not in stem):
        return False
    head, tail = stem.lstrip(_BEFORE_WORD).lower(), following.rstrip(_AFTER_WORD)
    if known is not None and known(head + tail):
        return True
    if head in _KEPT_PREFIXES or tail in _KEPT_TAILS:
        return False
    return known is None or min(len(head), len(tail)) < _SHORTEST_WORD or not (known(head) and known(tail))
