"""Which documents a question names, and what remains of it when their names are taken out. Pure.

"What drove Apple's Mac sales in the June 2022 quarter?" names a report and asks for Mac sales. Inside that report the
words Apple, June and 2022 stand on every page, so passages are ranked by the rest of the question, and the document by
these words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from appliance.retrieval.query import Question, Word, contains, tokens

NAME_WEIGHTS = (2.0, 1.0)
"""BM25 weights of a document's columns `name` and `about`."""
NAME_VECTOR_WEIGHT = 0.25
CLOSEST = 3
"""So many of the best documents may take words out of the question."""

_LEAST_CONFIDENCE = 0.2
_CONFIDENCE_STEP = 0.4

Ranking = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Documents that the question may mean, best first, and how far that is to be believed."""

    scores: Mapping[int, float]
    """By document, 0 to 1, the best has 1."""
    confidence: float
    """0 to 1: how much of the best document's name the question really has."""
    rest: Question
    """The question without the words that name its source."""

    def score(self, document: int) -> float:
        """What a passage gains for being in this document, 0 to 1."""
        return self.confidence * self.scores.get(document, 0.0)


def rank(by_all: Ranking, by_telling: Ranking, by_name: Ranking) -> dict[int, float]:
    """Scores of documents, best first, from BM25 of all words, BM25 of the telling ones, and names' cosines."""
    scores: dict[int, float] = {}
    halves = (by_all, by_telling or by_all)
    for ranking in halves:
        best = max((score for _, score in ranking), default=0.0)
        for document, score in ranking:
            scores[document] = scores.get(document, 0.0) + 0.5 * score / best if best > 0 else 0.0
    for document, cosine in by_name:
        if cosine > 0:
            scores[document] = scores.get(document, 0.0) + NAME_VECTOR_WEIGHT * cosine
    top = max(scores.values(), default=0.0)
    if top <= 0:
        return {}
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return {document: score / top for document, score in ordered}


def resolve(question: Question, scores: Mapping[int, float], names: Mapping[int, tuple[str, str]]) -> Sources:
    """Take out of the question what the best documents' names and first lines say already.

    `scores` as `rank` gives them, best first; `names` gives (name, about) of the best `CLOSEST` of them.
    """
    closest = [document for document in list(scores)[:CLOSEST] if document in names]
    if not closest:
        return Sources(scores, 0.0, question)
    named = _any_has([names[document][0] for document in closest])
    described = _any_has([names[document][1] for document in closest])
    left = tuple(w for w in question.words if not _names_source(w, named, described))
    return Sources(scores, _confidence(question, *names[closest[0]]), _without(question, left))


def _confidence(question: Question, name: str, about: str) -> float:
    named, described = _any_has([name]), _any_has([about])
    hits = sum(1 for word in question.words if _names_source(word, named, described))
    return min(1.0, _LEAST_CONFIDENCE + _CONFIDENCE_STEP * hits)


def _names_source(word: Word, named: Callable[[Word], bool], described: Callable[[Word], bool]) -> bool:
    return not word.stop and (named(word) or (word.telling and described(word)))


def _any_has(texts: Sequence[str]) -> Callable[[Word], bool]:
    padded = [f" {' '.join(tokens(text))} " for text in texts]
    return lambda word: any(contains(text, word) for text in padded)


def _without(question: Question, left: tuple[Word, ...]) -> Question:
    if len(left) == len(question.words) or all(word.stop for word in left):
        return question
    return Question(" ".join(word.text for word in left), left)
