"""An answer without a language model: the sentences and table rows that answer best, each with its citation.

Every sentence of the best passages is scored by the words it shares with the question (rare ones count more), by the
embedding model, by itself and in its context, by whether it has the kind of thing that is asked for (a number, a date),
and by its passage's place. Documents that the question does not mean, and rows that only name columns, do not answer.
The best one answers; up to two more that are nearly as good and say something else follow it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance import wire
from appliance.answering import kinds
from appliance.answering.citations import Passages
from appliance.answering.segments import Segment, readable, segments, window
from appliance.answering.support import PassageEmbedder, Support, cosine
from appliance.display.path_names import display_name
from appliance.retrieval.folding import padded, tokens
from appliance.retrieval.query import Word, contains, has_phrase, is_period, parse
from appliance.retrieval.sources import naming_words
from appliance.store.rows import PassageRow

NOT_FOUND = "The documents do not answer this question."

_MOST_SENTENCES = 3
_NEARLY_AS_GOOD = 0.85
_AS_GOOD = 0.95
"""The same for a sentence of another passage."""
_COMPARED = 24
"""Sentences that are embedded, the best by words."""
_ALIKE = 0.6
_WORDS, _MEANING, _KIND, _PLACE, _CONTEXT = 0.6, 0.6, 0.25, 0.2, 0.5
_AROUND, _INTRODUCTION = 0.2, 0.1
_LEAST_WORDS, _LEAST_MEANING = 0.34, 0.42
_LEAST_NAMES, _LEAST_NAMED = 0.5, 0.4
_SOURCE_WORD = 0.3
_SHORT = 7
_LONGEST = 420

_INTRODUCES = re.compile(
    r"\b(?:following table|as follows|table below|(?:shown|set forth|presented|summarized) below)\b|:$", re.I
)
_LEANS = re.compile(
    r"(?:it|its|they|their|he|she|his|her|this|these|that|those|such|both|then|there|however|also)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Extract:
    """The answer's text with its markers, and the citations behind them; no citations if nothing was found."""

    text: str
    citations: list[wire.Citation]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what it seeks, and where the passages' documents say they come from."""

    question: str
    sought: str
    """The question without the words that name its source: inside the right document these mislead."""
    sources: Mapping[int, str] = field(default_factory=dict)
    """Name and first words of each document, by number."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: int
    """Number of its marker."""
    order: int
    segment: Segment
    context: str
    """What stands around it: headings, label, the sentence before."""
    words: float
    kind: float
    place: float
    score: float = 0.0
    meaning: float = 0.0
    """Cosine with what is sought."""
    around: float = 0.0
    """The same with its context."""


def answer(asked: Asked, passages: Passages, scores: Sequence[float], embedder: PassageEmbedder) -> Extract:
    """Answer from the passages; `scores` are theirs from the search. Reads the store and embeds: call it in a thread."""
    meant = _meant(asked, passages.rows)
    candidates = [one for one in _candidates(asked, passages, scores) if passages.rows[one.passage - 1].chunk in meant]
    ranked = _with_meaning(asked.sought, candidates, embedder)
    chosen = _choose(asked, [one for one in ranked if _about_the_same(asked, one, passages.rows)])
    lines: list[str] = []
    citations: list[wire.Citation] = []
    said: list[tuple[int, Segment]] = []
    for candidate in chosen:
        segment = _completed(asked.question, candidate.segment, passages.rows[candidate.passage - 1].text)
        others = [other for number, other in said if number == candidate.passage]
        if any(map(segment.overlaps, others)):
            segment = candidate.segment
        if any(map(segment.overlaps, others)) or any(_says(segment, other) for _, other in said):
            continue
        said.append((candidate.passage, segment))
        support = Support(segment.start, segment.end, True, round(min(1.0, max(0.0, candidate.meaning)), 4))
        citation = passages.citation(candidate.passage, support)
        if citation is not None:
            lines.append(f"{_shortened(readable(segment))} {citation.marker}")
            citations.append(citation)
    if not citations:
        return Extract(NOT_FOUND, [])
    return Extract("\n".join(lines), citations)


def _says(one: Segment, other: Segment) -> bool:
    """Whether one of two texts has the other: neighbouring passages share sentences."""
    first, second = padded(one.text), padded(other.text)
    return first in second or second in first


def _candidates(asked: Asked, passages: Passages, scores: Sequence[float]) -> list[_Candidate]:
    wanted = {token for word in parse(asked.question).terms for token in tokens(word.text)}
    found = list(_segments(passages))
    weights = _rarity(wanted, [set(tokens(context + " " + segment.text)) for _, _, segment, context in found])
    for token in wanted.difference(tokens(asked.sought)):
        weights[token] *= _SOURCE_WORD
    best = max((score for score in scores), default=0.0)
    candidates = []
    for number, order, segment, context in found:
        words = _weighed(weights, kinds.asked_as(tokens(segment.text)), kinds.asked_as(tokens(context)))
        place = max(0.0, 1.0 - (best - scores[number - 1]))
        candidates.append(
            _Candidate(number, order, segment, context, words, kinds.fits(asked.question, readable(segment)), place)
        )
    return sorted(candidates, key=lambda one: -_score(one))[:_COMPARED]


def _segments(passages: Passages) -> Iterator[tuple[int, int, Segment, str]]:
    """(marker's number, order, segment, its context)."""
    for number, row in enumerate(passages.rows, 1):
        before = ""
        for order, segment in enumerate(segments(row.text)):
            if not (segment.is_heading or segment.is_header):
                yield number, order, segment, " ".join([*row.heading, segment.label, before])
            before = segment.text


def _rarity(wanted: set[str], texts: Sequence[set[str]]) -> dict[str, float]:
    having = Counter(token for text in texts for token in wanted & text)
    return {token: math.log(1 + (len(texts) + 1) / (having[token] + 0.5)) for token in wanted}


def _weighed(weights: dict[str, float], text: set[str], context: set[str]) -> float:
    total = sum(weights.values())
    got = sum(w * (1.0 if t in text else _CONTEXT if t in context else 0.0) for t, w in weights.items())
    return got / total if total else 0.0


def _with_meaning(question: str, candidates: list[_Candidate], embedder: PassageEmbedder) -> list[_Candidate]:
    if not candidates:
        return []
    vector = embedder.embed_query(question)
    texts = [readable(one.segment) for one in candidates]
    around = [f"{one.context} {text}" for one, text in zip(candidates, texts, strict=True)]
    cosines = [cosine(vector, other) for other in embedder.embed_passages([*texts, *around])]
    half = len(candidates)
    compared = [replace(one, meaning=cosines[i], around=cosines[half + i]) for i, one in enumerate(candidates)]
    return sorted(compared, key=lambda one: -_score(one))


def _score(one: _Candidate) -> float:
    good = _WORDS * one.words + _MEANING * one.meaning + _AROUND * one.around + _KIND * one.kind + _PLACE * one.place
    return good - _INTRODUCTION * bool(_INTRODUCES.search(one.segment.text))


def _choose(asked: Asked, ranked: list[_Candidate]) -> list[_Candidate]:
    if not ranked or not _answers(asked, ranked[0]):
        return []
    best = ranked[0]
    chosen = [best]
    for one in ranked[1:]:
        if len(chosen) == _MOST_SENTENCES:
            break
        enough = _NEARLY_AS_GOOD if one.passage == best.passage else _AS_GOOD
        if _score(one) >= enough * _score(best) and not any(_alike(one, other) for other in chosen):
            chosen.append(one)
    return chosen


def _answers(asked: Asked, best: _Candidate) -> bool:
    """Whether the best there is says enough of what was asked; where the source was named rightly, less will do."""
    if any(word.telling for word in parse(asked.question).words) and best.words + best.meaning >= _LEAST_NAMED:
        return True
    return best.words >= _LEAST_WORDS or best.meaning >= _LEAST_MEANING


def _meant(asked: Asked, rows: Sequence[PassageRow]) -> set[int]:
    """The passages to answer from, by number: of the documents that are called what the question says, and of the day
    it names.

    A document is left out if another has all of the question's names that it has itself, and more: an answer about
    one firm is no answer about the other.
    """
    question = parse(asked.question)
    titles = {row.document: padded(f"{display_name(row.path)} {asked.sources.get(row.document, '')}") for row in rows}
    naming = [word for word in naming_words(question, [*titles.values()]) if word.telling]
    called = {
        number: {word.text for word in naming if contains(text if _is_name(word) else titles[number], word)}
        | {day[0] for day in question.days if has_phrase(titles[number], day)}
        for number, text in _found_of(asked, rows).items()
    }
    left = [row for row in rows if not any(called[row.document] < other for other in called.values())]
    for day in question.days:
        left = [row for row in left if has_phrase(_around(asked, row), day)] or left
    return {row.chunk for row in left}


def _found_of(asked: Asked, rows: Sequence[PassageRow]) -> dict[int, str]:
    """Of each document what was found of it, for `contains`."""
    return {
        number: "".join(_around(asked, row) for row in rows if row.document == number)
        for number in {row.document for row in rows}
    }


def _around(asked: Asked, row: PassageRow) -> str:
    """A passage with what says where it is from, for `contains`."""
    return padded(" ".join([asked.sources.get(row.document, ""), display_name(row.path), *row.heading, row.text]))


def _about_the_same(asked: Asked, one: _Candidate, rows: Sequence[PassageRow]) -> bool:
    """Whether its document, as far as it was found, has half of the names and numbers in the question, not numbers
    alone; one of them, if the meaning fits.
    """
    telling = [word for word in parse(asked.question).words if word.telling]
    if not telling:
        return True
    around = _found_of(asked, rows)[rows[one.passage - 1].document]
    found = [word for word in telling if contains(around, word)]
    if any(map(_is_name, telling)) and not any(map(_is_name, found)):
        return False
    return bool(found and one.meaning >= _LEAST_MEANING) or len(found) >= _LEAST_NAMES * len(telling)


def _is_name(word: Word) -> bool:
    return not (any(map(str.isdigit, word.text)) or is_period(word))


def _alike(one: _Candidate, other: _Candidate) -> bool:
    """Whether they say the same."""
    first, second = set(tokens(one.segment.text)), set(tokens(other.segment.text))
    return len(first & second) > _ALIKE * min(len(first), len(second))


def _completed(question: str, segment: Segment, passage: str) -> Segment:
    """With the sentence before it, if it is short or leans on it ("It takes 1.1 litres"); with the one after it, if a
    colon asks for it, or if a reason is sought that this one does not give.
    """
    parts = segments(passage)
    index = next((i for i, part in enumerate(parts) if part.start == segment.start), 0)
    if segment.text.rstrip().endswith(":") and index + 1 < len(parts):
        return window(parts[index : index + 2], passage)
    without_reason = kinds.asks_reason(question) and not segment.is_row and not kinds.gives_reason(segment.text)
    if without_reason and index + 1 < len(parts) and parts[index + 1].line == segment.line:
        return window(parts[index : index + 2], passage)
    leans = not segment.is_row and (_LEANS.match(segment.text) or len(segment.text.split()) < _SHORT)
    if leans and index and parts[index - 1].line == segment.line:
        return window(parts[index - 1 : index + 1], passage)
    return segment


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    return text[:_LONGEST].rsplit(" ", 1)[0] + " …"
