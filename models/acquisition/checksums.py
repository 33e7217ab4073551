"""What a checksum file beside a model says its sha256 is.

Looked for: FILE.sha256, with or without the file's name in it, then SHA256SUMS and sha256sums.txt in the same folder, as
sha256sum(1) writes them. Rule: a checksum that is there is honoured, so one that cannot be understood is an error; a list
of sums that does not name the file says nothing.
"""

import re
from pathlib import Path
from typing import Final

from models.errors import InvalidModelFile
from models.formats.regular_file import open_regular

_LISTS: Final = ("SHA256SUMS", "sha256sums", "SHA256SUMS.txt", "sha256sums.txt")
_MAX_BYTES: Final = 1024 * 1024
_LINE: Final = re.compile(r"\\?([0-9A-Fa-f]{64})(?:[ \t]+\*?(.*\S))?\s*")


def expected_sha256(path: Path) -> str:
    """In lower case; empty if nothing is told. Raises InvalidModelFile for a FILE.sha256 that holds none."""
    own = path.with_name(path.name + ".sha256")
    text = _text(own)
    if text is not None:
        found = _sum_in(text, path.name, alone=True)
        if not found:
            why = f"{own.name} holds no sha256 of it"
            raise InvalidModelFile(f"importing {path}", why, "copy the checksum file again, or remove it")
        return found
    for name in _LISTS:
        text = _text(path.with_name(name))
        if text is not None and (found := _sum_in(text, path.name, alone=False)):
            return found
    return ""


def _sum_in(text: str, name: str, *, alone: bool) -> str:
    for line in text.splitlines():
        found = _LINE.fullmatch(line.strip())
        if found and (found[2] is None if alone else False):
            return found[1].lower()
        if found and found[2] is not None and found[2].rsplit("/", 1)[-1] == name:
            return found[1].lower()
    return ""


def _text(path: Path) -> str | None:
    """Its text; None if there is none. Raises InvalidModelFile if there is one that cannot be read."""
    if not path.exists():
        return None
    try:
        with open_regular(path) as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError as error:
        hint = "make it readable, or remove it"
        raise InvalidModelFile(f"reading the checksum file {path}", error.strerror or str(error), hint) from error
