"""A question as the words a search can use. Pure.

A question mixes two things: words that name its source ("Apple", "FY2018", "10-K", a place, a date) and words that say
what is sought there. `Word.telling` marks those that look like a source's name. Whatever is typed becomes quoted FTS5
phrases or nothing at all, so that no input is ever a syntax error.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from appliance.retrieval.folding import PIECE, fold, singular
from appliance.retrieval.glossary import other_names

MAX_TERMS = 64
"""Words that go into one full-text query; a longer question is cut."""

_WORD = re.compile(r"[^\W_]+(?:['’.&/\-–][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")  # as the store splits file names
_SURROGATE = re.compile("[\ud800-\udfff]")
_YEAR = re.compile(r"(?:19|20)\d\d")
_FISCAL = re.compile(r"(?:fy|fiscal|gj)'?((?:19|20)?\d\d)")
_QUARTER = re.compile(r"q([1-4])|([1-4])q")
_QUARTER_OF_YEAR = re.compile(r"(?:q([1-4])|([1-4])q)((?:19|20)?\d\d)|((?:19|20)\d\d)q([1-4])")
_CODE = re.compile(r"(\d+)([a-z]{1,3})|([a-z]{1,3})(\d+)")
_SENTENCE_END = re.compile(r"[.!?:]\s*[\"'”’)]*$")

_ORDINALS = ("first", "second", "third", "fourth")
_STOP = frozenset(
    """
    a about according after all also am among an and any are as at based be because been before being between both but
    by can could did do does doing done during each either else ever every few for from get give given gives had has
    have having he her here hers him his how i if in into is it its itself just let like list many may me might more
    most much must my no nor not now of off on once one only or other our out over own please provide question
    answer reply respond response same say says shall she should show since so some such tell than that the their
    them then there these they this those through to too under until up upon us use used using very was we were
    what when where whether which while who whom whose why will with within without would you your
    describe details explain rely relying shown
    """.split()  # noqa: SIM905 - a list of strings would hide the words
)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a question."""

    text: str
    """As it was typed."""
    phrases: tuple[str, ...]
    """Its spellings, folded; each is one or more tokens separated by single spaces. Any of them will do."""
    telling: bool
    """It has a digit, or a capital although it does not begin a sentence: it may name a source."""
    stop: bool
    """It says nothing of what is sought."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question's text, cleaned, and its words in order."""

    text: str
    words: tuple[Word, ...]

    @property
    def other_names(self) -> list[str]:
        """What else the things in it are called, folded."""
        return other_names(self.text)

    @property
    def terms(self) -> tuple[Word, ...]:
        """The words worth looking up: those that are no stop words, or, with none, all."""
        return tuple(word for word in self.words if not word.stop) or self.words


def parse(text: str) -> Question:
    """Split a question into words. Any string will do."""
    clean = " ".join(_SURROGATE.sub(" ", unicodedata.normalize("NFC", text)).split())
    words: list[Word] = []
    end = 0
    for found in _WORD.finditer(clean):
        begins = not words or bool(_SENTENCE_END.search(clean[end : found.start()]))
        words.append(_word(found[0], begins))
        end = found.end()
    return Question(clean, tuple(_with_joined(_with_quarters(words), clean)))


def expression(words: Iterable[Word], columns: str = "", also: Iterable[str] = ()) -> str:
    """An FTS5 query for any of the words and of the phrases `also`, for BM25; empty if there are none.

    >>> expression(parse("Apple's 10-K").words)
    '"apple" OR "10 k" OR "10k"'
    """
    phrases = dict.fromkeys([*(phrase for word in list(words)[:MAX_TERMS] for phrase in word.phrases), *also])
    joined = " OR ".join(f'"{phrase}"' for phrase in phrases)
    return f"{{{columns}}} : ({joined})" if columns and joined else joined


def contains(words: str, word: Word) -> bool:
    """Whether a text, given as `" ".join(tokens(text))` with a space at each end, has the word in any spelling."""
    return any(f" {_singular_phrase(phrase)} " in words for phrase in word.phrases)


def _word(text: str, begins: bool) -> Word:
    bare = _POSSESSIVE.sub("", text)
    folded = fold(bare)
    telling = any(c.isdigit() for c in bare) or (not begins and bare[0].isupper())
    apart = fold(_CAMEL.sub(" ", bare))
    spellings = _spellings(folded) if apart == folded else (*_spellings(folded), " ".join(PIECE.findall(apart)))
    return Word(text, spellings, telling and folded not in _STOP, folded in _STOP)


def _spellings(folded: str) -> tuple[str, ...]:
    pieces = PIECE.findall(folded)
    if len(pieces) > 1:
        return tuple(dict.fromkeys(_compound(pieces)))
    return tuple(dict.fromkeys(_simple(folded)))


def _compound(pieces: list[str]) -> list[str]:
    """ "10-K" as a phrase and in one word; long pieces and periods also by themselves."""
    spelled = [] if any(_is_period(piece) for piece in pieces) else [" ".join(pieces), "".join(pieces)]
    for piece in pieces:
        if _is_period(piece) or (len(piece) > 2 and not piece.isdigit()):
            spelled += _simple(piece)
    return spelled or [" ".join(pieces)]


def _simple(piece: str) -> list[str]:
    if found := _QUARTER_OF_YEAR.fullmatch(piece):
        quarter, year = found[1] or found[2] or found[5], found[3] or found[4]
        return [piece, f"q{quarter} {_full_year(year)}", f"{_full_year(year)} q{quarter}", f"{quarter}q{year[-2:]}"]
    if _YEAR.fullmatch(piece) or (fiscal := _FISCAL.fullmatch(piece)):
        year = piece if _YEAR.fullmatch(piece) else _full_year(fiscal[1]) if fiscal else piece
        return [year, f"fy{year}", f"fy{year[-2:]}", f"fy {year}"]
    if found := _QUARTER.fullmatch(piece):
        number = int(found[1] or found[2])
        return [f"q{number}", f"{number}q", f"{_ORDINALS[number - 1]} quarter"]
    if found := _CODE.fullmatch(piece):
        return [piece, " ".join(part for part in found.groups() if part)]
    return [piece]


def _is_period(piece: str) -> bool:
    return any(pattern.fullmatch(piece) for pattern in (_YEAR, _FISCAL, _QUARTER, _QUARTER_OF_YEAR))


def _full_year(digits: str) -> str:
    return digits if len(digits) == 4 else f"20{digits}"


def _with_joined(words: Sequence[Word], text: str) -> list[Word]:
    """Let "American Express" meet AMERICANEXPRESS: each of two neighbours may also be spelled as both in one."""
    joined: list[list[str]] = [[] for _ in words]
    for i, (word, after) in enumerate(pairwise(words)):
        if word.stop or after.stop or f"{word.text} {after.text}" not in text:
            continue
        one, other = word.phrases[0], after.phrases[0]
        if one.isalpha() and other.isalpha():
            joined[i].append(one + other)
            joined[i + 1].append(one + other)
    return [replace(word, phrases=(*word.phrases, *more)) for word, more in zip(words, joined, strict=True)]


def _with_quarters(words: list[Word]) -> tuple[Word, ...]:
    """Let "third quarter" meet Q3."""
    for i, (word, after) in enumerate(pairwise(words)):
        if word.phrases[0] in _ORDINALS and after.phrases[0] in ("quarter", "fiscal"):
            number = _ORDINALS.index(word.phrases[0]) + 1
            words[i] = Word(word.text, (f"q{number}", f"{number}q", f"{word.phrases[0]} quarter"), True, False)
    return tuple(words)


def _singular_phrase(phrase: str) -> str:
    return " ".join(singular(token) for token in phrase.split())
