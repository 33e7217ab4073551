"""Shares what the folders of models and of adapters have in common: several contents under one id, one of them current.

Layout: ROOT/<id>/manifest.json describes the current version and names its file. With several versions, each also has
its description in `<version>.json`; manifest.json is a copy of one of them, so replacing this one file switches. A
version's name is the start of its file's sha256.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

from models.catalog.installer import MANIFEST, Installer, Progress, no_progress, sha256_of
from models.errors import InvalidModelFile, ModelError
from models.formats.regular_file import Stamp, stamp_of

_VERSION_LETTERS: Final = 12
_DESCRIPTION: Final = re.compile(rf"[0-9a-f]{{{_VERSION_LETTERS}}}\.json")


class Version(Protocol):
    """One content of an id; `version` is its short name, `imported_at` RFC 3339 in UTC."""

    @property
    def version(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def imported_at(self) -> str: ...


class Imported(Protocol):
    """An installed file as it was imported: `size` in bytes; `stamp` None if another version of Docent imported it."""

    @property
    def path(self) -> Path: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def stamp(self) -> Stamp | None: ...


AnyVersion = TypeVar("AnyVersion", bound=Version)


def version_of(sha256: str) -> str:
    """The short name of a content."""
    return sha256[:_VERSION_LETTERS]


def description_of(sha256: str) -> str:
    """The name of the file that describes a content as a version."""
    return f"{version_of(sha256)}.json"


def file_names(plain: str) -> re.Pattern[str]:
    """The names a version's file may have: `plain`, or its version's."""
    return re.compile(rf"{re.escape(plain)}|[0-9a-f]{{{_VERSION_LETTERS}}}\.gguf")


def descriptions_in(folder: Path) -> list[str]:
    """Names of the descriptions of versions in an id's folder."""
    try:
        return sorted(path.name for path in folder.iterdir() if _DESCRIPTION.fullmatch(path.name))
    except OSError:
        return []


def versions_in(folder: Path, read: Callable[[str], AnyVersion]) -> tuple[AnyVersion, ...]:
    """Every content of an id, newest first, the current one before others of its second.

    `read` makes a version from a description's name. A version whose description is broken is left out; if it is the
    current one, the folder's own entry says what is wrong.
    """
    found: dict[str, AnyVersion] = {}
    for name in (MANIFEST, *descriptions_in(folder)):
        try:
            one = read(name)
        except (OSError, ValueError, TypeError, KeyError):
            continue
        found.setdefault(one.version, one)
    return tuple(sorted(found.values(), key=lambda one: one.imported_at, reverse=True))


def version_named(name: str, found: Sequence[AnyVersion], what: str, error: type[ModelError]) -> AnyVersion:
    """The one version whose sha256 begins with `name`. Raises `error`, listing the versions there are."""
    chosen = [one for one in found if name and one.sha256.startswith(name.lower())]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(one.version for one in found) or "none"
    why = "several versions begin with this" if chosen else "it has no such version"
    raise error(what, why, f"its versions: {known}")


def drop_version(work: Installer, model_id: str, version: Version) -> None:
    """Delete a version that is not current."""
    work.drop_version(model_id, description_of(version.sha256), version.path)


def manifest_problem(error: Exception) -> str:
    """Why a manifest cannot be used, given the error that reading it raised."""
    if isinstance(error, OSError):
        return reason_of(error)
    return error.why if isinstance(error, InvalidModelFile) else f"its manifest is not valid: {error}"


def size_problem(path: Path, size: int) -> str:
    """Why the file does not have its imported `size` in bytes; empty if it has."""
    try:
        return "" if stamp_of(path).size == size else f"the size of {path} has changed since it was imported"
    except OSError as error:
        return reason_of(error)


def reason_of(error: OSError) -> str:
    """The error in words, with the file's name."""
    if isinstance(error, FileNotFoundError):
        return f"the file {error.filename} is missing"
    return f"{error.strerror}: {error.filename}"


class ContentCheck:
    """Checks that files still have the content that was imported.

    A file with its imported stamp passes at once. Another, such as one restored from a backup, is hashed once for each
    instance.
    """

    def __init__(self) -> None:
        self._passed: set[tuple[str, Stamp]] = set()  # sha256 and stamp of files whose stamp alone had changed

    def check(self, file: Imported, refuse: Callable[[str], ModelError], progress: Progress = no_progress) -> None:
        """Raises what `refuse` makes of the reason if the file has changed or cannot be read. May hash it: blocks."""
        try:
            found = stamp_of(file.path)
            if found == file.stamp or (file.sha256, found) in self._passed:
                return
            if found.size == file.size and sha256_of(file.path, progress) == file.sha256:
                self._passed.add((file.sha256, found))
                return
        except OSError as error:
            raise refuse(reason_of(error)) from error
        raise refuse(f"{file.path} has changed since it was imported")
