"""Answers without a language model: quotes the sentences and table rows that answer best, each with its citation.

Each sentence of the best passages is scored by the words it shares with the question (rare ones count more), by its
cosine with the question, alone and in its context, by whether it has the kind of thing the question asks for (a number,
a date), and by its passage's score. Documents that the question does not mean, and rows that only name columns, are
left out. The best sentence answers; up to two more follow if they are nearly as good and say something else.
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

# The weights and thresholds below were chosen by eye and checked together on the 60 questions of
# `benchmarks/questions`: the answer's text has the key facts for 45, and cites the right page for 54. A lower
# `_NEARLY_AS_GOOD` and less weight for names were tried and dropped: see docs/decisions.md, "Answering".
_WORDS, _MEANING, _AROUND, _KIND, _PLACE = 0.6, 0.6, 0.2, 0.25, 0.2
"""Weights of a sentence's shared words, its cosine, its cosine in context, its kind, and its passage's score."""
_INTRODUCTION = 0.1
"""Taken off a sentence that only introduces a table or list."""
_CONTEXT = 0.5
"""What a word counts that only the context has, against one in the sentence."""
_SOURCE_WORD = 0.3
"""What a word counts that names the source, against one that says what is sought."""
_MOST_SENTENCES = 3
_NEARLY_AS_GOOD, _AS_GOOD = 0.85, 0.95
"""Share of the best score that a further sentence needs, in the best one's passage and in another."""
_ALIKE = 0.6
"""Share of common words from which two sentences say the same."""
_COMPARED = 24
"""Sentences that are embedded, the best by words."""
_LEAST_WORDS, _LEAST_MEANING = 0.34, 0.42
"""Least shared words or cosine of an answer. Tuned on about 20 questions that the documents do not answer."""
_LEAST_NAMED = 0.4
"""The sum of both that an answer needs if the question names a source."""
_LEAST_NAMES = 0.5
"""Share of the question's names and numbers that a document needs to answer."""
_SHORT = 7
"""Words below which a sentence is quoted together with the one before it."""
_LONGEST = 420
"""Characters of a quoted sentence."""

_INTRODUCES = re.compile(
    r"\b(?:following table|as follows|table below|(?:shown|set forth|presented|summarized) below)\b|:$", re.I
)
_LEANS = re.compile(
    r"(?:it|its|they|their|he|she|his|her|this|these|that|those|such|both|then|there|however|also)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Extract:
    """The answer's text with its markers, and their citations; none if the documents do not answer."""

    text: str
    citations: list[wire.Citation]


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """A question, what it seeks, and what the passages' documents say about themselves."""

    question: str
    sought: str
    """The question without the words that name its source: inside the right document they mislead."""
    sources: Mapping[int, str] = field(default_factory=dict)
    """Name and first words of each document, by number."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: int
    """Number of its passage's marker, from 1."""
    order: int
    segment: Segment
    context: str
    """Its headings, label and the sentence before it."""
    words: float
    kind: float
    place: float
    score: float = 0.0
    meaning: float = 0.0
    """Its cosine with what is sought."""
    around: float = 0.0
    """The same, together with its context."""


def answer(request: ExtractRequest, passages: Passages, scores: Sequence[float], embedder: PassageEmbedder) -> Extract:
    """Answer from the passages, whose `scores` come from the search.

    Blocking: reads the store and embeds. Call it in a worker thread.
    """
    meant = _meant(request, passages.rows)
    candidates = [
        one for one in _candidates(request, passages, scores) if passages.rows[one.passage - 1].chunk in meant
    ]
    ranked = _with_meaning(request.sought, candidates, embedder)
    chosen = _choose(request, [one for one in ranked if _about_the_same(request, one, passages.rows)])
    lines: list[str] = []
    citations: list[wire.Citation] = []
    said: list[tuple[int, Segment]] = []
    for candidate in chosen:
        segment = _completed(request.question, candidate.segment, passages.rows[candidate.passage - 1].text)
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
    """Whether one text contains the other: neighbouring passages share sentences."""
    first, second = padded(one.text), padded(other.text)
    return first in second or second in first


def _candidates(request: ExtractRequest, passages: Passages, scores: Sequence[float]) -> list[_Candidate]:
    wanted = {token for word in parse(request.question).terms for token in tokens(word.text)}
    found = list(_segments(passages))
    weights = _rarity(wanted, [set(tokens(context + " " + segment.text)) for _, _, segment, context in found])
    for token in wanted.difference(tokens(request.sought)):
        weights[token] *= _SOURCE_WORD
    best = max((score for score in scores), default=0.0)
    candidates = []
    for number, order, segment, context in found:
        words = _weighed(weights, kinds.asked_as(tokens(segment.text)), kinds.asked_as(tokens(context)))
        place = max(0.0, 1.0 - (best - scores[number - 1]))
        candidates.append(
            _Candidate(number, order, segment, context, words, kinds.fits(request.question, readable(segment)), place)
        )
    return sorted(candidates, key=lambda one: -_score(one))[:_COMPARED]


def _segments(passages: Passages) -> Iterator[tuple[int, int, Segment, str]]:
    """Yield the marker's number, the order in the passage, the segment and its context."""
    for number, row in enumerate(passages.rows, 1):
        before = ""
        for order, segment in enumerate(segments(row.text)):
            if not (segment.is_heading or segment.is_header):
                yield number, order, segment, " ".join([*row.heading, segment.label, before])
            before = segment.text


def _rarity(wanted: set[str], texts: Sequence[set[str]]) -> dict[str, float]:
    """Weigh each token by its inverse document frequency, as BM25 does."""
    having = Counter(token for text in texts for token in wanted & text)
    return {token: math.log(1 + (len(texts) + 1) / (having[token] + 0.5)) for token in wanted}


def _weighed(weights: dict[str, float], text: set[str], context: set[str]) -> float:
    """Return the weighted share of the question's tokens that text and context have, 0 to 1."""
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


def _choose(request: ExtractRequest, ranked: list[_Candidate]) -> list[_Candidate]:
    if not ranked or not _answers(request, ranked[0]):
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


def _answers(request: ExtractRequest, best: _Candidate) -> bool:
    """Whether the best candidate is good enough to answer; less will do if the question names a source."""
    if any(word.telling for word in parse(request.question).words) and best.words + best.meaning >= _LEAST_NAMED:
        return True
    return best.words >= _LEAST_WORDS or best.meaning >= _LEAST_MEANING


def _meant(request: ExtractRequest, rows: Sequence[PassageRow]) -> set[int]:
    """Select the chunks to answer from: those of the documents and of the day that the question names.

    A document is left out if another has all of the question's names that this one has, and more: an answer about
    one firm does not answer a question about another.
    """
    question = parse(request.question)
    titles = {row.document: padded(f"{display_name(row.path)} {request.sources.get(row.document, '')}") for row in rows}
    naming = [word for word in naming_words(question, [*titles.values()]) if word.telling]
    called = {
        number: {word.text for word in naming if contains(text if _is_name(word) else titles[number], word)}
        | {day[0] for day in question.days if has_phrase(titles[number], day)}
        for number, text in _found_of(request, rows).items()
    }
    left = [row for row in rows if not any(called[row.document] < other for other in called.values())]
    for day in question.days:
        left = [row for row in left if has_phrase(_around(request, row), day)] or left
    return {row.chunk for row in left}


def _found_of(request: ExtractRequest, rows: Sequence[PassageRow]) -> dict[int, str]:
    """Join what was found of each document, in the form that `contains` takes."""
    return {
        number: "".join(_around(request, row) for row in rows if row.document == number)
        for number in {row.document for row in rows}
    }


def _around(request: ExtractRequest, row: PassageRow) -> str:
    """Join a passage with its source, path and headings, in the form that `contains` takes."""
    return padded(" ".join([request.sources.get(row.document, ""), display_name(row.path), *row.heading, row.text]))


def _about_the_same(request: ExtractRequest, one: _Candidate, rows: Sequence[PassageRow]) -> bool:
    """Whether the found part of its document has at least half of the names and numbers in the question.

    One of them is enough if the meaning fits. If the question has names, numbers alone are not enough.
    """
    telling = [word for word in parse(request.question).words if word.telling]
    if not telling:
        return True
    around = _found_of(request, rows)[rows[one.passage - 1].document]
    found = [word for word in telling if contains(around, word)]
    if any(map(_is_name, telling)) and not any(map(_is_name, found)):
        return False
    return bool(found and one.meaning >= _LEAST_MEANING) or len(found) >= _LEAST_NAMES * len(telling)


def _is_name(word: Word) -> bool:
    return not (any(map(str.isdigit, word.text)) or is_period(word))


def _alike(one: _Candidate, other: _Candidate) -> bool:
    """Whether the two share most of their words."""
    first, second = set(tokens(one.segment.text)), set(tokens(other.segment.text))
    return len(first & second) > _ALIKE * min(len(first), len(second))


def _completed(question: str, segment: Segment, passage: str) -> Segment:
    """Add the sentence before, if this one is short or refers to it ("It takes 1.1 litres"). Add the sentence after,
    if this one ends in a colon, or the question asks for a reason that this one does not give.
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
