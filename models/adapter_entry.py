"""One folder of the adapters' folder, read: a usable adapter, or what is wrong with it.

Layout, as for models: <id>/manifest.json describes the version that counts and names its file, `adapter.gguf` or
`<version>.gguf`; with several versions each has its description in `<version>.json` too. Rule: what a manifest says is
checked before it is used, for anyone may have written it.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.adapter_file import AdapterHead
from models.entry import reason_of, version_files, version_of
from models.files import Stamp, stamp_of
from models.install import ID_PATTERN, read_manifest

FILE: Final = "adapter.gguf"
AGAIN: Final = (
    "import it again with 'docent adapters import FILE --id {0}', or remove it with 'docent adapters remove {0}'"
)
_FORMAT: Final = 1
_FILE_NAME: Final = re.compile(r"adapter\.gguf|[0-9a-f]{12}\.gguf")


@dataclass(frozen=True, slots=True)
class AdapterBase:
    """The model that an adapter was imported for; all empty if none was installed then."""

    id: str = ""
    sha256: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class AdapterNotes:
    """What a person tells about an adapter."""

    licence: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """One installed adapter. `size` in bytes; `sha256` of the file is its identity, `version` a short name of that.

    `stamp` is the file's as it was imported; None if another version of Docent imported it. `versions` has the short
    names of every content that the id points to, this one first.
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
        """Short name of the content."""
        return version_of(self.sha256)


@dataclass(frozen=True, slots=True)
class DamagedAdapter:
    """An adapter that cannot be used, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an adapter came from, for which base, and what was told of it."""

    source: str
    base: AdapterBase
    told: AdapterNotes


def manifest_of(adapter_id: str, digest: str, adapter: AdapterHead, origin: Origin) -> dict[str, object]:
    """What is written beside an adapter's file."""
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
        "imported_at": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "source": origin.source.encode("utf-8", "backslashreplace").decode(),
        "base": {"id": origin.base.id, "sha256": origin.base.sha256, "name": origin.base.name},
        "licence": origin.told.licence or adapter.licence,
        "notes": origin.told.notes,
        "stamp": stamp_of(path)._asdict(),
    }


def read_entry(folder: Path) -> AdapterSpec | DamagedAdapter | None:
    """The adapter in this folder by its manifest and its file's size; None for what is no adapter's folder."""
    if not ID_PATTERN.fullmatch(folder.name) or not folder.is_dir():
        return None
    try:
        spec = read_version(folder)
    except OSError as error:
        return DamagedAdapter(folder.name, reason_of(error))
    except (ValueError, TypeError, KeyError) as error:
        return DamagedAdapter(folder.name, f"its manifest is not valid: {error}")
    try:
        if stamp_of(spec.path).size == spec.size:
            return spec
        return DamagedAdapter(folder.name, f"{spec.path} has not the size that was imported")
    except OSError as error:
        return DamagedAdapter(folder.name, reason_of(error))


def read_version(folder: Path, name: str = "manifest.json") -> AdapterSpec:
    """The version that a description tells of. Raises OSError, ValueError, TypeError or KeyError."""
    manifest = read_manifest(folder, name)
    base = manifest.get("base")
    told: Mapping[str, object] = base if isinstance(base, dict) else {}
    current = _checked(manifest, "sha256", re.compile(r"[0-9a-f]{64}"))
    return AdapterSpec(
        id=folder.name,
        path=folder / _checked(manifest, "file", _FILE_NAME),
        size=_number(manifest, "size"),
        sha256=current,
        architecture=_text(manifest, "architecture"),
        rank=_number(manifest, "rank"),
        alpha=_real(manifest, "alpha"),
        imported_at=_text(manifest, "imported_at"),
        source=_text(manifest, "source"),
        base=AdapterBase(*(_text(told, key, "") for key in ("id", "sha256", "name"))),
        licence=_text(manifest, "licence", ""),
        notes=_text(manifest, "notes", ""),
        stamp=_stamp(manifest.get("stamp")),
        versions=_versions(folder, version_of(current)) if name == "manifest.json" else (),
    )


def read_versions(folder: Path) -> tuple[AdapterSpec, ...]:
    """Every content that is kept, newest first; one whose description is broken is left out."""
    found: dict[str, AdapterSpec] = {}
    for name in ("manifest.json", *version_files(folder)):
        try:
            one = read_version(folder, name)
        except (OSError, ValueError, TypeError, KeyError):
            continue
        found.setdefault(one.version, one)
    return tuple(sorted(found.values(), key=lambda one: one.imported_at, reverse=True))


def _versions(folder: Path, current: str) -> tuple[str, ...]:
    return (current, *(name for found in version_files(folder) if (name := found.removesuffix(".json")) != current))


def _stamp(content: object) -> Stamp | None:
    if not isinstance(content, dict) or set(content) != set(Stamp._fields):
        return None
    return Stamp(**content) if all(isinstance(value, int) for value in content.values()) else None


def _checked(manifest: Mapping[str, object], key: str, allowed: re.Pattern[str]) -> str:
    value = _text(manifest, key)
    if not allowed.fullmatch(value):
        raise ValueError(f"{key} is {value!r}")
    return value


def _text(manifest: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = manifest[key] if default is None else manifest.get(key, default)
    if not isinstance(value, str):
        raise TypeError(f"{key} is not a text")
    return value


def _number(manifest: Mapping[str, object], key: str) -> int:
    value = manifest[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} is not a number")
    return value


def _real(manifest: Mapping[str, object], key: str) -> float:
    value = manifest[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{key} is not a number")
    return float(value)
