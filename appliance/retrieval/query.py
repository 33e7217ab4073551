"""Parses a question into the words that a search can use. Pure.

A question mixes words that name its source ("Apple", "FY2018", "10-K", a place, a date) with words that say what is
sought there. `Word.telling` marks those that look like a source's name. All input becomes quoted FTS5 phrases or
nothing, so that no input is a syntax error.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from appliance.retrieval import stopwords
from appliance.retrieval.dates import MONTHS, days
from appliance.retrieval.folding import PIECE, fold, singular
from appliance.retrieval.glossary import other_names
from appliance.retrieval.spelling import ORDINALS, spellings

MAX_TERMS = 64
"""Words in one full-text query; a longer question is cut. Chosen by eye."""

_WORD = re.compile(r"[^\W_]+(?:['’.&/\-–][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")  # as the store splits file names
_QUARTER = re.compile(r"q[1-4]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_CAPITALS = 0.8
"""Share of capitalised words above which capitals mark no names. Chosen by eye."""
_SENTENCE_END = re.compile(r"[.!?:]\s*[\"'”’)]*$")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a question."""

    text: str
    """As it was typed."""
    phrases: tuple[str, ...]
    """Its alternative spellings, folded; each is one or more tokens separated by single spaces."""
    telling: bool
    """It has a digit, or a capital without beginning a sentence, so it may name a source."""
    stop: bool
    """It is a stop word."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question's cleaned text and its words in order."""

    text: str
    words: tuple[Word, ...]

    @property
    def other_names(self) -> list[str]:
        """Other names of the things in it, folded."""
        return other_names(self.text)

    @property
    def days(self) -> list[tuple[str, ...]]:
        """The days it names, each in its spellings, folded. They stay phrases: day, month and year alone are common."""
        return days(self.text)

    @property
    def terms(self) -> tuple[Word, ...]:
        """The words to look up: all but stop words, or all if there are only stop words."""
        return tuple(word for word in self.words if not word.stop) or self.words


def parse(text: str) -> Question:
    """Split a question into words; accepts any string."""
    clean = " ".join(_SURROGATE.sub(" ", unicodedata.normalize("NFC", text)).split())
    words: list[Word] = []
    end = 0
    spelled = [found[0] for found in _WORD.finditer(clean)]
    german = stopwords.is_german(frozenset(map(fold, spelled)))
    stop = stopwords.stop_words(german)
    capitals_tell = not german and _capitals_tell(spelled)
    for found in _WORD.finditer(clean):
        begins = not words or bool(_SENTENCE_END.search(clean[end : found.start()]))
        words.append(_word(found[0], stop, capitals_tell and not begins))
        end = found.end()
    return Question(clean, tuple(_with_joined(_with_quarters(words), clean)))


def expression(words: Iterable[Word], columns: str = "", also: Iterable[str] = ()) -> str:
    """Build an FTS5 query, for BM25, that matches any of the words or of the phrases `also`; empty if there are none.

    >>> expression(parse("Apple's 10-K").words)
    '"apple" OR "10 k" OR "10k"'
    """
    phrases = dict.fromkeys([*(phrase for word in list(words)[:MAX_TERMS] for phrase in word.phrases), *also])
    joined = " OR ".join(f'"{phrase}"' for phrase in phrases)
    return f"{{{columns}}} : ({joined})" if columns and joined else joined


def contains(words: str, word: Word) -> bool:
    """Whether a text, in the form that `folding.padded` returns, has the word in any spelling."""
    return has_phrase(words, word.phrases)


def is_period(word: Word) -> bool:
    """Whether the word is a month, an ordinal or a quarter: a time, not a name."""
    return word.phrases[0] in MONTHS or word.phrases[0] in ORDINALS or bool(_QUARTER.fullmatch(word.phrases[0]))


def has_phrase(words: str, phrases: Iterable[str]) -> bool:
    """Whether a text, in the form that `folding.padded` returns, has any of the phrases."""
    return any(f" {_singular_phrase(phrase)} " in words for phrase in phrases)


def _capitals_tell(words: Sequence[str]) -> bool:
    """Whether a capital marks a name; not if nearly every word has one."""
    worded = [word for word in words[1:] if word.isalpha()]
    return sum(word[0].isupper() for word in worded) <= _MOST_CAPITALS * len(worded)


def _word(text: str, stop_words: frozenset[str], capital_tells: bool) -> Word:
    bare = _POSSESSIVE.sub("", text)
    folded = fold(bare)
    stop = folded in stop_words
    telling = not stop and (any(c.isdigit() for c in bare) or (capital_tells and bare[0].isupper()))
    apart = fold(_CAMEL.sub(" ", bare))
    phrases = spellings(folded) if apart == folded else (*spellings(folded), " ".join(PIECE.findall(apart)))
    return Word(text, phrases, telling, stop)


def _with_joined(words: Sequence[Word], text: str) -> list[Word]:
    """Let "American Express" match AMERICANEXPRESS: give each of two neighbours both words in one as a spelling."""
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
    """Let "third quarter" match Q3."""
    for i, (word, after) in enumerate(pairwise(words)):
        if word.phrases[0] in ORDINALS and after.phrases[0] in ("quarter", "fiscal"):
            number = ORDINALS.index(word.phrases[0]) + 1
            words[i] = Word(word.text, (f"q{number}", f"{number}q", f"{word.phrases[0]} quarter"), True, False)
    return tuple(words)


def _singular_phrase(phrase: str) -> str:
    return " ".join(singular(token) for token in phrase.split())
