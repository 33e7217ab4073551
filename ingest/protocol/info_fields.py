"""Parses what a document states about itself into reliable values. Pure; never raises."""

import re
from datetime import UTC, datetime, timedelta, timezone

_PDF_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*(?:(Z)|([+-])(\d\d)'?(\d\d)?)?", re.ASCII)
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?:[-_][a-zA-Z0-9]{1,8})*", re.ASCII)
_EARLIEST = 1900  # an earlier year is a mistake of the program that wrote the file


def date_of(text: str) -> str:
    """A date of a PDF, or in ISO 8601, as RFC 3339; empty if it is no date.

    Its own offset is kept; UTC if it names none.

    >>> date_of("D:20220729060321-04'00'")
    '2022-07-29T06:03:21-04:00'
    """
    try:
        found = _pdf_date(text.strip()) or datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        return ""
    if found.year < _EARLIEST:
        return ""
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return aware.isoformat(timespec="seconds")


def language_of(text: str) -> str:
    """A language tag in the form of BCP 47 ("en", "de-AT"); empty if it is none.

    >>> language_of("de_at")
    'de-AT'
    """
    tag = text.strip().split(".")[0]
    if len(tag) > 35 or not _LANGUAGE.fullmatch(tag):
        return ""
    first, *rest = tag.replace("_", "-").split("-")
    return "-".join([first.lower(), *(part.upper() if len(part) == 2 else part for part in rest)])


def _pdf_date(text: str) -> datetime | None:
    match = _PDF_DATE.match(text)
    if match is None or (len(text) > 4 and text[4] == "-"):
        return None
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    assert year is not None
    zone = UTC
    if match[8]:
        ahead = timedelta(hours=int(match[9]), minutes=int(match[10] or 0))
        zone = timezone(ahead if match[8] == "+" else -ahead)
    return datetime(year, month or 1, day or 1, hour or 0, minute or 0, min(second or 0, 59), tzinfo=zone)
