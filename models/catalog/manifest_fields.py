"""Reads and checks the fields of the manifests of models and adapters, since anyone may have written them.

All functions raise KeyError for a missing field, TypeError or ValueError for an invalid one.
"""

import datetime
import re
from collections.abc import Mapping

from models.formats.regular_file import Stamp

Manifest = Mapping[str, object]


def text_of(manifest: Manifest, key: str, default: str | None = None) -> str:
    """A text field; a missing one is an error only without a `default`."""
    value = manifest[key] if default is None else manifest.get(key, default)
    if not isinstance(value, str):
        raise TypeError(f"{key} is not a text")
    return value


def number_of(manifest: Manifest, key: str) -> int:
    """A field with a whole number."""
    value = manifest[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} is not a number")
    return value


def real_of(manifest: Manifest, key: str) -> float:
    """A field with any number."""
    value = manifest[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{key} is not a number")
    return float(value)


def digest_of(manifest: Manifest) -> str:
    """The sha256 of the file, 64 lower-case hex digits."""
    digest = text_of(manifest, "sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("sha256 is not 64 lower-case hex digits")
    return digest


def file_name_of(manifest: Manifest, allowed: re.Pattern[str], default: str | None = None) -> str:
    """The file's name, which must match `allowed` and so cannot be a path."""
    name = text_of(manifest, "file", default)
    if not allowed.fullmatch(name):
        raise ValueError(f"file {name!r} is not the name of such a file")
    return name


def described_stamp(manifest: Manifest) -> Stamp | None:
    """The file's stamp at its import; None if another version of Docent wrote it."""
    content = manifest.get("stamp")
    if not isinstance(content, dict) or set(content) != set(Stamp._fields):
        return None
    return Stamp(**content) if all(isinstance(value, int) for value in content.values()) else None


def import_time() -> str:
    """The time now in RFC 3339, UTC, to the second."""
    return datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
