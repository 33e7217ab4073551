"""Finds the period that a report says it covers: the day it ended, or its year. Pure."""

import re
from datetime import date

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar janvier",
            "february februar février",
            "march märz mars",
            "april avril",
            "may mai",
            "june juni juin",
            "july juli juillet",
            "august août",
            "september septembre",
            "october oktober octobre",
            "november novembre",
            "december dezember décembre",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(_MONTHS)
_DATE = (
    rf"(?:(?P<month>{_MONTH})\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}})"
    rf"|(?P<day2>\d{{1,2}})\.?\s+(?P<month2>{_MONTH})\s+(?P<year2>\d{{4}})"
    r"|(?P<year3>\d{4})-(?P<month3>\d\d)-(?P<day3>\d\d))"
)
_ENDED = re.compile(rf"\b(?:period|year|quarter|months|week)s?\s+end(?:ed|ing):?\s+(?:on\s+)?{_DATE}", re.IGNORECASE)
_YEAR = re.compile(
    r"\b(?:fiscal\s+year|financial\s+year|annual\s+report|geschäftsjahr|jahresbericht|exercice)\s+(?P<year>(?:19|20)\d\d)\b",
    re.IGNORECASE,
)


def period_of(text: str) -> str:
    """The day on which the period ended, in ISO 8601, else its year; empty if the text names none.

    >>> period_of("For the quarterly period ended June 24, 2023")
    '2023-06-24'
    >>> period_of("Annual Report 2021")
    '2021'
    """
    for found in _ENDED.finditer(text):
        parts = found.groupdict()
        for one in ("", "2", "3"):
            if parts[f"year{one}"]:
                month = parts[f"month{one}"].lower()
                number = int(month) if month.isdecimal() else _MONTHS[month]
                try:
                    return date(int(parts[f"year{one}"]), number, int(parts[f"day{one}"])).isoformat()
                except ValueError:  # June 31
                    continue
    year = _YEAR.search(text)
    return year["year"] if year else ""
