"""Finds the sha256 that a checksum file beside a model states.

Reads FILE.sha256, with or without the file's name in it, then SHA256SUMS, sha256sums and the same with .txt in the same
folder, as sha256sum(1) writes them. Rule: an existing checksum is always honoured, so a FILE.sha256 that cannot be
parsed is an error. A list that does not name the file is ignored.
"""

import re
from pathlib import Path
from typing import Final

from models.errors import InvalidModelFile
from models.formats.regular_file import open_regular

_LISTS: Final = ("SHA256SUMS", "sha256sums", "SHA256SUMS.txt", "sha256sums.txt")
_MAX_BYTES: Final = 1024 * 1024  # read of a checksum file; chosen by eye
_LINE: Final = re.compile(r"\\?([0-9A-Fa-f]{64})(?:[ \t]+\*?(.*\S))?\s*")


def expected_sha256(path: Path) -> str:
    """The sha256 in lower case; empty if there is none. Raises InvalidModelFile for a FILE.sha256 without one."""
    own = path.with_name(path.name + ".sha256")
    text = _text(own)
    if text is not None:
        found = _sum_in(text, path.name, alone=True)
        if not found:
            why = f"{own.name} holds no sha256 for this file"
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
    """The file's text; None if it does not exist. Raises InvalidModelFile if it cannot be read."""
    if not path.exists():
        return None
    try:
        with open_regular(path) as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError as error:
        hint = "make it readable, or remove it"
        raise InvalidModelFile(f"reading the checksum file {path}", error.strerror or str(error), hint) from error
