"""What kind of thing a question asks for, and whether a sentence or table row has one of that kind. Pure.

A figure is a number that says how much: not a date, a year, the number of a note, nor that of a footnote.
"""

import re

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
_PERSON = re.compile(r"\bwho\b|\bwhose\b|\bwhom\b", re.I)

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
_DIGIT = re.compile(r"\d")
_NUMERAL = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|hundred|"
    r"thousand|million|billion|half|twice|once|none|every|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|daily|"
    r"weekly|monthly|yearly)\b",
    re.I,
)


def asks_reason(question: str) -> bool:
    """Whether it asks why."""
    return bool(_REASON.search(question))


def asks_figure(question: str) -> bool:
    """Whether it asks how much, how many, or for the value of something that is measured."""
    if _HOW_MUCH.search(question):
        return True
    return bool(not asks_reason(question) and _ASKS_WHAT.search(question) and _OF_WHAT.search(question))


def gives_reason(text: str) -> bool:
    """Whether it says why."""
    return bool(_BECAUSE.search(text))


def has_figure(text: str) -> bool:
    """Whether it has a number that says how much."""
    return bool(_DIGIT.search(_NO_FIGURE.sub(" ", text)))


def fits(question: str, text: str) -> float:
    """1 where the text has the kind of thing that the question asks for, 0 where not or where any kind will do."""
    if _HOW_MUCH.search(question):
        return 1.0 if has_figure(text) else 0.6 if _NUMERAL.search(text) else 0.0
    if _TIME.search(question):
        return float(bool(_DATE.search(text)))
    if asks_figure(question):
        return float(has_figure(text))
    return float(asks_reason(question) and gives_reason(text))
