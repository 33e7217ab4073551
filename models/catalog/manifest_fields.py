"""The fields of the manifests of models and adapters, checked one by one, for anyone may have written them.

All raise KeyError for what is not there, TypeError or ValueError for what is not as it must be.
"""

import datetime
import re
from collections.abc import Mapping

from models.formats.regular_file import Stamp

Manifest = Mapping[str, object]


def text_of(manifest: Manifest, key: str, default: str | None = None) -> str:
    """A text; a missing one is an error only without a `default`."""
    value = manifest[key] if default is None else manifest.get(key, default)
    if not isinstance(value, str):
        raise TypeError(f"{key} is not a text")
    return value


def number_of(manifest: Manifest, key: str) -> int:
    """A whole number."""
    value = manifest[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} is not a number")
    return value


def real_of(manifest: Manifest, key: str) -> float:
    """Any number."""
    value = manifest[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{key} is not a number")
    return float(value)


def digest_of(manifest: Manifest) -> str:
    """The sha256 of the file."""
    digest = text_of(manifest, "sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("sha256 is not 64 lower-case hex digits")
    return digest


def file_name_of(manifest: Manifest, allowed: re.Pattern[str], default: str | None = None) -> str:
    """The name of the file, which may be no path."""
    name = text_of(manifest, "file", default)
    if not allowed.fullmatch(name):
        raise ValueError(f"file {name!r} is not the name of such a file")
    return name


def described_stamp(manifest: Manifest) -> Stamp | None:
    """The file's as it was imported; None if another version wrote it."""
    content = manifest.get("stamp")
    if not isinstance(content, dict) or set(content) != set(Stamp._fields):
        return None
    return Stamp(**content) if all(isinstance(value, int) for value in content.values()) else None


def import_time() -> str:
    """Now, as manifests tell it: RFC 3339 in UTC, to the second."""
    return datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
