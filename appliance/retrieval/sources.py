"""Finds the documents that a question names, and the rest of the question without their names. Pure.

"What drove Apple's Mac sales in the June 2022 quarter?" names a report and asks about Mac sales. Inside that report the
words Apple, June and 2022 are on every page. So these words rank the documents, and the rest ranks the passages.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from appliance.retrieval.folding import padded
from appliance.retrieval.query import Question, Word, contains, has_phrase

# The steps were measured on the questions of `benchmarks/retrieval.py`, see docs/decisions.md, "Finding pages"; the
# numbers themselves were chosen by eye unless they say otherwise.
CLOSEST = 3
"""Best documents whose names are taken out of the question."""
_IN_NAME, _IN_ABOUT = 2.0, 1.0
"""Weights of a word in a document's name and on its first page."""
_PLAIN_WORD = 0.5
"""Weight of a word that does not look like a name, against one that does. Measured: the right document by its first page
0.98, without this weight 0.89."""
_DAY = 1.5
"""Weight of a day that a document's first page names: the period's end, or the day of the event."""
_COSINE = 0.25
"""Weight of a name vector; at full strength it did harm where names mean nothing."""
_LEAST_CONFIDENCE = 0.2
_CONFIDENCE_STEP = 0.4
"""Added for each word of the question that the best document's name has. Measured without confidence: other kinds of
documents 0.90 instead of 1.00."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The documents that the question may mean, best first, and the confidence in them."""

    scores: Mapping[int, float]
    """By document number, 0 to 1; the best has 1."""
    confidence: float
    """0 to 1: how much of the best document's name the question has."""
    rest: Question
    """The question without the words that name its source."""

    def score(self, document: int) -> float:
        """Return what a passage gains by being in this document, 0 to 1."""
        return self.confidence * self.scores.get(document, 0.0)


def rank(question: Question, names: Mapping[int, tuple[str, str]], cosines: Mapping[int, float]) -> dict[int, float]:
    """Score documents, best first; the best has 1.

    `names` has (name, about) of all candidates, `cosines` those of their name vectors with the question. Each word of
    the question counts once, whatever its spelling and however often a text repeats it; BM25 of all spellings would
    prefer a report that says both "Q3" and "third quarter". The fewer candidates have a word, the more it counts.
    """
    words = list({word.phrases: word for word in question.words if not word.stop}.values())
    texts = {number: (_words(name), _words(about)) for number, (name, about) in names.items()}
    scores = dict.fromkeys(names, 0.0)
    for word in words:
        found = {number: _found(word, *text) for number, text in texts.items()}
        having = sum(1 for weight in found.values() if weight)
        rarity = 1.0 + math.log(1.0 + (len(texts) - having + 0.5) / (having + 0.5))
        for number, weight in found.items():
            scores[number] += weight * rarity * (1.0 if word.telling else _PLAIN_WORD)
    for number, (name, about) in texts.items():
        scores[number] += _DAY * sum(has_phrase(name + about, day) for day in question.days)
    return _relative(_with_cosines(_relative(scores), cosines))


def _found(word: Word, name: str, about: str) -> float:
    if contains(name, word):
        return _IN_NAME
    return _IN_ABOUT if contains(about, word) else 0.0


def _with_cosines(scores: Mapping[int, float], cosines: Mapping[int, float]) -> dict[int, float]:
    return {number: score + _COSINE * max(cosines.get(number, 0.0), 0.0) for number, score in scores.items()}


def _relative(scores: Mapping[int, float]) -> dict[int, float]:
    top = max(scores.values(), default=0.0)
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return {number: score / top if top > 0 else 0.0 for number, score in ordered}


def resolve(question: Question, scores: Mapping[int, float], names: Mapping[int, tuple[str, str]]) -> Sources:
    """Remove from the question what the best documents' names and first lines already say.

    `scores` are those of `rank`, best first; `names` has (name, about) of the best `CLOSEST` of them.
    """
    closest = [document for document in list(scores)[:CLOSEST] if document in names]
    if not closest:
        return Sources(scores, 0.0, question)
    naming = naming_words(question, [_words(" ".join(text)) for text in names.values()])
    named = _any_has([names[document][0] for document in closest])
    described = _any_has([names[document][1] for document in closest])
    left = tuple(w for w in question.words if w not in naming or not _names_source(w, named, described))
    return Sources(scores, _confidence(naming, *names[closest[0]]), _without(question, left))


def naming_words(question: Question, titles: Sequence[str]) -> list[Word]:
    """Return the words that may name a source: all but those of a day that none of the padded `titles` has.

    Such a day is inside the documents, such as a figure of the year before, and its year alone would name the wrong
    report.
    """
    strange = [day for day in question.days if not any(has_phrase(title, day) for title in titles)]
    parts = {token for day in strange for phrase in day for token in phrase.split()}
    return [word for word in question.words if word.phrases[0] not in parts]


def _confidence(naming: Sequence[Word], name: str, about: str) -> float:
    named, described = _any_has([name]), _any_has([about])
    hits = sum(1 for word in naming if _names_source(word, named, described))
    return min(1.0, _LEAST_CONFIDENCE + _CONFIDENCE_STEP * hits)


def _names_source(word: Word, named: Callable[[Word], bool], described: Callable[[Word], bool]) -> bool:
    return not word.stop and (named(word) or (word.telling and described(word)))


def _any_has(texts: Sequence[str]) -> Callable[[Word], bool]:
    spread = [_words(text) for text in texts]
    return lambda word: any(contains(text, word) for text in spread)


def _without(question: Question, left: tuple[Word, ...]) -> Question:
    if len(left) == len(question.words) or all(word.stop for word in left):
        return question
    return Question(" ".join(word.text for word in left), left)


@lru_cache(maxsize=1024)
def _words(text: str) -> str:
    return padded(text)
