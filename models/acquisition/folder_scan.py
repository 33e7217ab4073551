"""Finds the models in a folder: a USB stick, a share, a download folder.

Rule: scans the folder and a few levels below it, up to a number of entries. Links to folders are not followed, hidden
folders and files are left out. A GGUF file that cannot be used as a model is listed with the reason. A model in the
layout of Docent's own folder, copied from another machine, keeps its id and its origin.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.acquisition.file_choice import why_not
from models.catalog.installer import translated
from models.catalog.manifest import ModelSpec, read_entry
from models.errors import InvalidModelFile, ModelError
from models.formats.gguf_header import GgufHeader, read_header

_LEVELS: Final = 4  # this and the next chosen by eye, so that a large disk is scanned in seconds
_MOST_ENTRIES: Final = 20_000


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A usable model in the folder."""

    path: Path
    header: GgufHeader


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A GGUF file that cannot be used as a model, and why."""

    path: Path
    why: str


def look_into(folder: Path) -> tuple[tuple[FoundModel, ...], tuple[SkippedFile, ...]]:
    """The usable models and the skipped files, each sorted by path. Raises ModelError if the folder cannot be read."""
    found: list[FoundModel] = []
    skipped: list[SkippedFile] = []
    with translated(f"looking for models in {folder}"):
        os.listdir(folder)  # raises, where os.walk silently skips what it cannot read
    for path in _candidates(folder):
        reason = why_not(path.name)
        if reason:
            skipped.append(SkippedFile(path, reason))
            continue
        try:
            found.append(FoundModel(path, read_header(path)))
        except InvalidModelFile as error:
            skipped.append(SkippedFile(path, error.why))
        except ModelError as error:
            skipped.append(SkippedFile(path, str(error)))
    return tuple(found), tuple(skipped)


def copied_model(path: Path) -> ModelSpec | None:
    """The model that the manifest beside a file describes, if the file is in Docent's own layout; else None."""
    entry = read_entry(path.parent)
    return entry if isinstance(entry, ModelSpec) and entry.path == path else None


def _candidates(folder: Path) -> list[Path]:
    return sorted(path for path in _files(folder) if path.suffix.lower() == ".gguf")


def _files(folder: Path) -> Iterator[Path]:
    seen = 0
    for top, folders, files in os.walk(folder):
        level = len(Path(top).relative_to(folder).parts)
        folders[:] = [] if level >= _LEVELS else sorted(name for name in folders if not name.startswith("."))
        for name in files:
            seen += 1
            if seen > _MOST_ENTRIES:
                return
            if not name.startswith("."):
                yield Path(top) / name
