"""Finds the days that a question names, as phrases that a document may use for them. Pure."""

import re

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTH = rf"({'|'.join(MONTHS)}|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?)"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"((?:19|20)\d\d)"
_MONTH_FIRST = re.compile(rf"\b{_MONTH}\s+{_DAY},?\s+{_YEAR}\b", re.I)
_DAY_FIRST = re.compile(rf"\b{_DAY}\.?\s+(?:of\s+)?{_MONTH},?\s+{_YEAR}\b", re.I)


def days(text: str) -> list[tuple[str, ...]]:
    """Return the spellings of each day with month and year, folded, tokens separated by single spaces.

    >>> days("the quarter ended May 1, 2022")[0][:2]
    ('may 1 2022', '1 may 2022')
    """
    found = [(match[1], match[2], match[3]) for match in _MONTH_FIRST.finditer(text)]
    found += [(match[2], match[1], match[3]) for match in _DAY_FIRST.finditer(text)]
    return list(dict.fromkeys(_spellings(*parts) for parts in found))


def _spellings(month: str, day: str, year: str) -> tuple[str, ...]:
    full = next(name for name in MONTHS if name.startswith(month.lower().rstrip(".")[:3]))
    short = full[:3]
    named = [f"{name} {int(day)} {year}" for name in (full, short)]
    return (named[0], f"{int(day)} {full} {year}", named[1], f"{int(day)} {short} {year}")
