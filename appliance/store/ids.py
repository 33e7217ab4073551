"""Converts row numbers to public ids and back: "d12" is a document, "c345" a chunk. Neither is ever reused."""

from appliance.errors import NotFound, UnknownDocument

_LONGEST = 18  # digits; any such number fits SQLite's 64-bit integers


def document_id(number: int) -> str:
    """The public id of a document."""
    return f"d{number}"


def chunk_id(number: int) -> str:
    """The public id of a chunk."""
    return f"c{number}"


def document_number(public: str) -> int:
    """The number behind a document's public id.

    Raises:
        UnknownDocument: it is not one of Docent's ids.
    """
    number = _number(public, "d")
    if number is None:
        raise unknown_document(public)
    return number


def chunk_number(public: str) -> int:
    """The number behind a chunk's public id.

    Raises:
        NotFound: it is not one of Docent's ids.
    """
    number = _number(public, "c")
    if number is None:
        raise unknown_chunk(public)
    return number


def unknown_document(public: str) -> UnknownDocument:
    """The error for a document that does not exist, or no longer does."""
    return UnknownDocument(f"document {public!r}", "there is no such document", "`docent documents list` shows all ids")


def unknown_chunk(public: str) -> NotFound:
    """The error for a chunk that does not exist, or no longer does."""
    return NotFound(f"chunk {public!r}", "there is no such chunk; its document changed or was deleted", "search again")


def _number(public: str, kind: str) -> int | None:
    digits = public.removeprefix(kind)
    if digits == public or not digits.isascii() or not digits.isdigit() or len(digits) > _LONGEST:
        return None
    return int(digits)
