"""Makes texts storable in SQLite: text of a PDF, or a file name in an error, may contain half a surrogate pair."""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, so that offsets into it stay valid."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def storable_message(text: str) -> str:
    r"""The text with `\udcff` for each lone surrogate: for messages that name a file."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
