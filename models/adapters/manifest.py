"""Reads and writes the manifest of an adapter: one folder is a usable adapter, or a damaged one with the reason.

Layout: <id>/manifest.json describes the current version and names its file, `adapter.gguf` or `<version>.gguf`; further
versions as in `catalog.versioned_folder`. Rule: every field is checked before use, since anyone may have written the
manifest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.adapters.gguf_lora import AdapterHead
from models.catalog.installer import ID_PATTERN, MANIFEST, read_manifest
from models.catalog.manifest_fields import (
    described_stamp,
    digest_of,
    file_name_of,
    import_time,
    number_of,
    real_of,
    text_of,
)
from models.catalog.versioned_folder import (
    descriptions_in,
    file_names,
    manifest_problem,
    size_problem,
    version_of,
    versions_in,
)
from models.formats.regular_file import Stamp, stamp_of

FILE: Final = "adapter.gguf"
AGAIN: Final = (
    "import it again with `docent adapters import FILE --id {0}`, or remove it with `docent adapters remove {0}`"
)
_FORMAT: Final = 1
_FILE_NAMES: Final = file_names(FILE)


@dataclass(frozen=True, slots=True)
class AdapterBase:
    """The model that an adapter was imported for; all fields are empty if none was installed at the time."""

    id: str = ""
    sha256: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class AdapterNotes:
    """The licence and notes that a person gives at an import."""

    licence: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """One installed adapter. `size` in bytes; `sha256` of the file is its identity, `version` its short name.

    `stamp` is taken from the file when it was imported; None if another version of Docent imported it. `versions` has
    the short names of every content of the id, this one first.
    """

    id: str
    path: Path
    size: int
    sha256: str
    architecture: str
    rank: int
    alpha: float
    imported_at: str
    source: str
    base: AdapterBase = AdapterBase()
    licence: str = ""
    notes: str = ""
    stamp: Stamp | None = None
    versions: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The short name of the content."""
        return version_of(self.sha256)


@dataclass(frozen=True, slots=True)
class DamagedAdapter:
    """An adapter that cannot be used, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class AdapterOrigin:
    """Where an adapter came from, for which base, and the notes given at its import."""

    source: str
    base: AdapterBase
    notes: AdapterNotes


def manifest_of(adapter_id: str, digest: str, adapter: AdapterHead, origin: AdapterOrigin) -> dict[str, object]:
    """The content of a new manifest."""
    path = adapter.head.path
    return {
        "version": _FORMAT,
        "id": adapter_id,
        "file": path.name,
        "size": adapter.head.file_bytes,
        "sha256": digest,
        "architecture": adapter.architecture,
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "imported_at": import_time(),
        "source": origin.source.encode("utf-8", "backslashreplace").decode(),
        "base": {"id": origin.base.id, "sha256": origin.base.sha256, "name": origin.base.name},
        "licence": origin.notes.licence or adapter.licence,
        "notes": origin.notes.notes,
        "stamp": stamp_of(path)._asdict(),
    }


def read_entry(folder: Path) -> AdapterSpec | DamagedAdapter | None:
    """The adapter in this folder, by its manifest and its file's size; None if the folder cannot be an adapter's."""
    if not ID_PATTERN.fullmatch(folder.name) or not folder.is_dir():
        return None
    try:
        spec = read_version(folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return DamagedAdapter(folder.name, manifest_problem(error))
    why = size_problem(spec.path, spec.size)
    return DamagedAdapter(folder.name, why) if why else spec


def read_version(folder: Path, name: str = MANIFEST) -> AdapterSpec:
    """The version that the file `name` describes. Raises OSError, ValueError, TypeError or KeyError."""
    manifest = read_manifest(folder, name)
    base = manifest.get("base")
    recorded: Mapping[str, object] = base if isinstance(base, dict) else {}
    current = digest_of(manifest)
    return AdapterSpec(
        id=folder.name,
        path=folder / file_name_of(manifest, _FILE_NAMES),
        size=number_of(manifest, "size"),
        sha256=current,
        architecture=text_of(manifest, "architecture"),
        rank=number_of(manifest, "rank"),
        alpha=real_of(manifest, "alpha"),
        imported_at=text_of(manifest, "imported_at"),
        source=text_of(manifest, "source"),
        base=AdapterBase(*(text_of(recorded, key, "") for key in ("id", "sha256", "name"))),
        licence=text_of(manifest, "licence", ""),
        notes=text_of(manifest, "notes", ""),
        stamp=described_stamp(manifest),
        versions=_versions(folder, version_of(current)) if name == MANIFEST else (),
    )


def read_versions(folder: Path) -> tuple[AdapterSpec, ...]:
    """Every content of the folder's id, newest first; a version with a broken description is left out."""
    return versions_in(folder, lambda name: read_version(folder, name))


def _versions(folder: Path, current: str) -> tuple[str, ...]:
    others = (name.removesuffix(".json") for name in descriptions_in(folder))
    return (current, *(version for version in others if version != current))
