"""Reads and writes the manifest of a model: one folder is a usable model, or a problem with a hint.

Layout: <id>/manifest.json describes the current version and names its file, `model.gguf` or `<version>.gguf`; further
versions as in `versioned_folder`. Rule: every field is checked before use, since anyone may have written the manifest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from models.catalog.installer import ID_PATTERN, MANIFEST, read_manifest
from models.catalog.manifest_fields import described_stamp, digest_of, file_name_of, import_time, number_of, text_of
from models.catalog.versioned_folder import file_names, manifest_problem, size_problem, version_of, versions_in
from models.errors import InvalidModelFile
from models.formats.gguf_header import GgufHeader, read_header
from models.formats.regular_file import Stamp

FILE: Final = "model.gguf"
AGAIN: Final = (
    "import its file again with `docent models import FILE.gguf --id {0}`, or remove it with `docent models remove {0}`"
)
_FORMAT: Final = 1
_FILE_NAMES: Final = file_names(FILE)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from: a file's name, or `OWNER/NAME:FILE` on a hub, with the commit and the card's licence."""

    source: str
    revision: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One content of an id; the `current` one answers. `size` in bytes."""

    version: str
    path: Path
    size: int
    sha256: str
    imported_at: str
    source: str
    revision: str
    licence: str
    quantisation: str
    current: bool


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One installed model.

    `size` and the sizes in `header` are in bytes, `imported_at` is RFC 3339 in UTC. `source` is a file name, or
    `OWNER/NAME:FILE` on a hub with its commit in `revision`. `stamp` is taken from the file when it was imported; None
    if another version of Docent imported it. `versions` lists every content of the id, newest first, this one included.
    """

    id: str
    path: Path
    size: int
    sha256: str
    imported_at: str
    source: str
    header: GgufHeader
    stamp: Stamp | None = None
    revision: str = ""
    card_licence: str = ""
    versions: tuple[ModelVersion, ...] = ()

    @property
    def content(self) -> tuple[str, Stamp | None]:
        """Identifies what a process loaded; differs after a repair."""
        return self.sha256, self.stamp

    @property
    def origin(self) -> Origin:
        """`source`, `revision` and `card_licence` in one value."""
        return Origin(self.source, self.revision, self.card_licence)

    @property
    def version(self) -> str:
        """The short name of the content."""
        return version_of(self.sha256)

    @property
    def licence(self) -> str:
        """The licence in its model card when it was pulled, else the one in the file; empty if neither names one."""
        return self.card_licence or self.header.licence

    @property
    def template(self) -> Literal["gguf", "chatml"]:
        """The source of its chat template: the file, or ChatML if the file has none."""
        return "gguf" if self.header.chat_template else "chatml"


@dataclass(frozen=True, slots=True)
class Problem:
    """An unusable file or folder, and what to do about it.

    `id` is set for a damaged model, empty for anything else; `spec` is set if its manifest can be read.
    """

    path: Path
    why: str
    hint: str
    id: str = ""
    spec: ModelSpec | None = None


def manifest_of(
    model_id: str, file: str, digest: str, header: GgufHeader, stamp: Stamp, origin: Origin
) -> dict[str, object]:
    """The content of a new manifest."""
    return {
        "version": _FORMAT,
        "id": model_id,
        "file": file,
        "size": header.file_bytes,
        "sha256": digest,
        "imported_at": import_time(),
        "source": origin.source.encode("utf-8", "backslashreplace").decode(),
        "revision": origin.revision,
        "licence": origin.licence,
        "header": asdict(header),
        "stamp": stamp._asdict(),
    }


def read_entry(folder: Path) -> ModelSpec | Problem:
    """The model in this folder. Reads its manifest only, unless another version of Docent wrote the header in it."""
    if not ID_PATTERN.fullmatch(folder.name):
        return Problem(folder, "a model cannot have this name", "rename the folder")
    hint = AGAIN.format(folder.name)
    try:
        spec = _spec(folder, read_manifest(folder))
    except (OSError, InvalidModelFile, ValueError, TypeError, KeyError) as error:
        if isinstance(error, OSError):
            hint = f"remove it with `docent models remove {folder.name}`"
        return Problem(folder, manifest_problem(error), hint, folder.name)
    why = size_problem(spec.path, spec.size)
    return Problem(folder, why, hint, spec.id, spec) if why else spec


def read_versions(folder: Path) -> tuple[ModelVersion, ...]:
    """Every content of the folder's id, newest first; a version with a broken description is left out."""
    return versions_in(folder, lambda name: _version(folder, read_manifest(folder, name), current=name == MANIFEST))


def _spec(folder: Path, manifest: Mapping[str, object]) -> ModelSpec:
    path = folder / file_name_of(manifest, _FILE_NAMES, FILE)
    return ModelSpec(
        id=folder.name,
        path=path,
        size=number_of(manifest, "size"),
        sha256=digest_of(manifest),
        imported_at=text_of(manifest, "imported_at"),
        source=text_of(manifest, "source"),
        header=_header(manifest.get("header")) or read_header(path),
        stamp=described_stamp(manifest),
        revision=text_of(manifest, "revision", ""),
        card_licence=text_of(manifest, "licence", ""),
        versions=read_versions(folder),
    )


def _version(folder: Path, manifest: Mapping[str, object], *, current: bool) -> ModelVersion:
    header = manifest.get("header")
    described: Mapping[str, object] = header if isinstance(header, dict) else {}
    sha256 = digest_of(manifest)
    return ModelVersion(
        version=version_of(sha256),
        path=folder / file_name_of(manifest, _FILE_NAMES, FILE),
        size=number_of(manifest, "size"),
        sha256=sha256,
        imported_at=text_of(manifest, "imported_at"),
        source=text_of(manifest, "source"),
        revision=text_of(manifest, "revision", ""),
        licence=text_of(manifest, "licence", "") or text_of(described, "licence", ""),
        quantisation=text_of(described, "quantisation", ""),
        current=current,
    )


def _header(content: object) -> GgufHeader | None:
    """The header as the import wrote it; None if another version of Docent wrote it: read the file again."""
    if not isinstance(content, dict) or set(content) != {field.name for field in fields(GgufHeader)}:
        return None
    values: dict[str, Any] = dict(content)
    plain = (field for field in fields(GgufHeader) if field.type in (int, str))
    if not all(isinstance(values[field.name], field.type) for field in plain if isinstance(field.type, type)):
        return None
    values["kv_heads"] = tuple(int(heads) for heads in values["kv_heads"])
    return GgufHeader(**values)
