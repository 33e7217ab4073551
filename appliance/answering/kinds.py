"""Recognises what kind of thing a question asks for, and whether a sentence or table row has one. Pure.

A figure is a number that says how much: not a date, a year, or the number of a note or footnote.
"""

import re
from collections.abc import Iterable

from appliance.retrieval.folding import tokens

_HOW = r"\bhow (?:many|much|long|large|high|low|far|often|big|old|fast|deep|wide|heavy|hot|cold|tall|thick|strong|quickly)\b"
_MEASURE = (
    r"\b(?:amount|number|percentage|percent|rate|price|cost|total|speed|pressure|temperature|weight|revenues?|sales|income|"
    r"profit|earnings|expenses?|margin|assets|liabilities|debt|cash|balance|volume|capacity|visibility|range|limit|"
    r"efficiency|stake|damages|length|height|width|depth|distance|age|elevation|share of|part of)\b"
)
_ASKS_WHAT = re.compile(
    r"\b(?:what|which)\b(?! (?:caused|led|made|drove|explains|explained|contributed|pushed|was behind))", re.I
)
_HOW_MUCH = re.compile(_HOW, re.I)
_OF_WHAT = re.compile(_MEASURE, re.I)
_TIME = re.compile(r"\bwhen\b(?! the\b)|\bwhat (?:date|day|year|month|time)\b|\bsince when\b|\bby when\b", re.I)
_REASON = re.compile(
    r"\bwhy\b|\bwhat (?:caused|led|made|drove|explains|explained|contributed|pushed|was behind)\b|\breasons?\b", re.I
)
_PERSON = re.compile(r"^\W*(?:(?:by|to|from|for|with) )?who(?:m|se)?\b", re.I)
"""Only at the beginning of a question: elsewhere "who" asks nothing ("the pilot who ...")."""

_NAME = re.compile(r"\b[A-Z][^\W\d_]+(?: [A-Z]\.?)?(?: [A-Z][^\W\d_]+)+")

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\b(?:19|20)\d\d\b|\b{_MONTH}(?=\W)|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|"
    r"\b\d{1,2}[:.]\d\d\b|\b(?:every|each|daily|weekly|monthly|yearly)\b",
    re.I,
)
_BECAUSE = re.compile(
    r"\b(?:because|due to|as a result|result(?:ed|ing) (?:in|from)|caus(?:ed|ing)|driven by|attribut(?:able|ed)|"
    r"reflect(?:s|ed|ing)|owing|so that|therefore|contribut(?:ed|ing)|led to)\b",
    re.I,
)
_NO_FIGURE = re.compile(
    rf"\b{_MONTH}\s+\d{{1,2}}(?:,?\s+\d{{4}})?\b|\b\d{{1,2}}\.?\s+{_MONTH}(?:\s+\d{{4}})?\b|"
    r"(?<![\d.,$€£])(?:19|20)\d\d(?![\d.,]\d)(?=\W|$)|\d+/\d+/\d+|\bq[1-4]\b|\b[1-4]q\b|\(\d{1,2}\)|"
    r"\b(?:note|item|form|part|page|section|table|figure|chapter|no|step|level)\.?\s*\d[\w.\-]*|\b10-[kq]\b|\bmonths? ended\b",
    re.I,
)
_WHOLE_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CODE = re.compile(r"\b[A-Za-z]+-?\d[\w-]*")
_DIGIT = re.compile(r"\d")
_SAID_AS = {
    "age": ("old",), "length": ("long",), "duration": ("long",), "height": ("high", "tall"), "distance": ("far",),
    "weight": ("heavy",), "speed": ("fast",), "temperature": ("hot", "cold"), "depth": ("deep",), "width": ("wide",),
    "visibility": ("see",), "size": ("large", "big"), "frequency": ("often",), "interval": ("often",),
    "revenue": ("sale",), "sale": ("revenue",), "destination": ("headed",), "within": ("fast", "quickly"),
}  # fmt: skip
"""A document's noun -> the words by which questions ask for it."""
_NUMERAL = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|hundred|"
    r"thousand|million|billion|half|twice|once|every|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|daily|"
    r"weekly|monthly|yearly)\b",
    re.I,
)


_NO_NUMBER, _UNNAMED, _NUMERAL_ALONE, _NAMED = -1.0, 0.5, 0.6, 1.5
"""How well a text fits a question for a figure, where 1 is a figure: text without a number; a figure that is not called
what was asked for; a numeral in words only; a figure that is. Tuned with the weights of `extractive`."""


def asks_reason(question: str) -> bool:
    """Whether the question asks why."""
    return bool(_REASON.search(question))


def asks_figure(question: str) -> bool:
    """Whether the question asks how much, how many, or for a measured value."""
    if _HOW_MUCH.search(question):
        return True
    return bool(not asks_reason(question) and _ASKS_WHAT.search(question) and _OF_WHAT.search(question))


def gives_reason(text: str) -> bool:
    """Whether the text says why."""
    return bool(_BECAUSE.search(text))


def has_number(text: str) -> bool:
    """Whether the text has a number that is not a date; codes such as "E31" count."""
    return bool(_DIGIT.search(_NO_FIGURE.sub(" ", text)))


def has_figure(text: str) -> bool:
    """Whether the text has a number that says how much; codes such as "E31" do not count."""
    return has_number(_CODE.sub(" ", text))


def asked_as(said: Iterable[str]) -> set[str]:
    """Add to a text's tokens the words by which questions ask for what they name: "old" for "age"."""
    found = set(said)
    return found.union(*(_SAID_AS[token] for token in found if token in _SAID_AS))


def fits(question: str, text: str) -> float:
    """Score how well the text has the kind of thing that the question asks for.

    1: it has one; more: it also calls it by the question's word; 0: it has none, or the question asks for no kind;
    less than 0: it has none, and the question can be answered by nothing else.
    """
    new = _without_numbers_of(question, text)
    if how := _HOW_MUCH.search(question):
        if not has_figure(new):
            return _NUMERAL_ALONE if _NUMERAL.search(new) else _NO_NUMBER
        return _NAMED if how[0].split()[-1].lower() in asked_as(tokens(text)) else 1.0
    if _TIME.search(question):
        return float(bool(_DATE.search(text)))
    if asks_figure(question) and (measure := _OF_WHAT.search(question)):
        named = {*tokens(measure[0])} <= asked_as(tokens(text))
        return (_NAMED if named else _UNNAMED) if has_figure(new) else 0.0
    if _PERSON.search(question):
        return float(_has_new_name(question, text))
    return float(asks_reason(question) and gives_reason(text))


def _has_new_name(question: str, text: str) -> bool:
    """Whether the text has a name of two or more words that the question does not have."""
    known = set(tokens(question))
    return any(known.isdisjoint(tokens(name[0])) for name in _NAME.finditer(text))


def _without_numbers_of(question: str, text: str) -> str:
    """Remove the numbers that the question already has: they are not what it asks for."""
    known = set(_WHOLE_NUMBER.findall(question))
    for numeral in _NUMERAL.findall(question):
        text = re.sub(rf"\b{numeral}\b", " ", text, flags=re.I)
    return _WHOLE_NUMBER.sub(lambda found: " " if found[0] in known else found[0], _NO_FIGURE.sub(" ", text))
