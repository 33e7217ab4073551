"""The models that are installed: what they are, where they lie, how they came here.

Layout: models/<id>/model.gguf and manifest.json. Rule: a folder counts as a model only with a readable manifest and a
file of the size it tells; anything else in the folder is a `Problem` that says what to do, and is never used. A GGUF
dropped there by hand is such a problem too: it may still be being copied, and nobody has hashed it.

The instance is a snapshot; `rescan()` takes a new one. Methods that read or write files block: not for an event loop.
"""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from models.errors import InvalidModelFile, ModelExists, UnknownModel
from models.gguf import GgufHeader, read_header
from models.install import (
    ID_PATTERN,
    Installer,
    Progress,
    id_from_name,
    installer,
    no_progress,
    read_manifest,
    sha256_of,
    translated,
)

RESERVED: Final = frozenset({"docent", "extractive", "all-minilm-l6-v2"})
FILE: Final = "model.gguf"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One installed model. `size` and `header` sizes in bytes, `imported_at` RFC 3339 in UTC, `source` a file name."""

    id: str
    path: Path
    size: int
    sha256: str
    imported_at: str
    source: str
    header: GgufHeader

    @property
    def template(self) -> Literal["gguf", "chatml"]:
        """Where its chat template comes from: the file, or ChatML because it has none."""
        return "gguf" if self.header.chat_template else "chatml"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the folder that is not usable, and what to do about it."""

    path: Path
    why: str
    hint: str


class Catalog:
    """The folder of models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._specs: dict[str, ModelSpec] = {}
        self._problems: tuple[Problem, ...] = ()
        self.rescan()

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What of the folder could not be used at the last scan."""
        return self._problems

    def list(self) -> tuple[ModelSpec, ...]:
        """All models, by id."""
        return tuple(self._specs[key] for key in sorted(self._specs))

    def get(self, model_id: str) -> ModelSpec:
        """Raises UnknownModel, naming those that are installed."""
        try:
            return self._specs[model_id]
        except KeyError:
            installed = ", ".join(sorted(self._specs)) or "none"
            raise UnknownModel(
                f"using the model {model_id!r}",
                "no model of this name is installed",
                f"Installed: {installed}. Add one with 'docent models import FILE.gguf'.",
            ) from None

    def rescan(self) -> None:
        """Look at the folder again. A folder that cannot be read is a problem, not an error."""
        specs: dict[str, ModelSpec] = {}
        problems: list[Problem] = []
        for path in _visible(self.root, problems):
            found = _spec(path) if path.is_dir() else _stray(path)
            if isinstance(found, ModelSpec):
                specs[found.id] = found
            elif found is not None:
                problems.append(found)
        self._specs, self._problems = specs, tuple(problems)

    # -- changing -----------------------------------------------------------------------------------------------------

    def import_gguf(self, source: Path, *, model_id: str | None = None, progress: Progress = no_progress) -> ModelSpec:
        """Copy a GGUF in, whole or not at all. The same content under the same id is left as it is.

        A file that lies in the folder of models itself is moved, not copied.
        Raises InvalidModelFile, ModelExists, ModelBusy, or ModelError if the disk is full or refuses.
        """
        chosen = checked_id(model_id or id_from_name(source.name))
        what = f"importing {source} as {chosen}"
        header = read_header(source)
        with installer(self.root, what) as work:
            self.rescan()
            if (self.root / chosen).exists():
                return self._same_or_refuse(chosen, source, what, progress)
            self._install(work, source, chosen, header, what, progress)
        self.rescan()
        return self.get(chosen)

    def remove(self, model_id: str) -> None:
        """Delete an installed model. Raises UnknownModel, ModelBusy, or ModelError if the disk refuses."""
        self.get(model_id)
        with installer(self.root, f"removing the model {model_id}") as work:
            work.remove(model_id)
        self.rescan()

    def verify(self, model_id: str, progress: Progress = no_progress) -> None:
        """Hash the file again. Raises UnknownModel, or InvalidModelFile if it is not what was imported."""
        spec = self.get(model_id)
        what = f"verifying the model {model_id}"
        with translated(what):
            found = sha256_of(spec.path, progress)
        if found != spec.sha256:
            raise InvalidModelFile(
                what,
                f"{spec.path} has changed since it was imported: its sha256 is {found}, it was {spec.sha256}",
                f"Remove it with 'docent models remove {model_id}' and import it again.",
            )

    def _same_or_refuse(self, model_id: str, source: Path, what: str, progress: Progress) -> ModelSpec:
        spec = self._specs.get(model_id)
        with translated(what):
            same = (
                spec is not None and spec.size == source.stat().st_size and spec.sha256 == sha256_of(source, progress)
            )
        if spec is None or not same:
            raise ModelExists(
                what,
                f"another model is installed under the name {model_id}",
                f"Choose another name with --id, or remove it first with 'docent models remove {model_id}'.",
            )
        return spec

    def _install(
        self, work: Installer, source: Path, model_id: str, header: GgufHeader, what: str, progress: Progress
    ) -> None:
        inside = source.resolve().parent == self.root.resolve()
        if not inside:
            work.check_space(what, header.file_bytes)
        folder = work.prepare()
        try:
            target = folder / FILE
            if inside:
                source.rename(target)
                target.chmod(0o640)
                digest = sha256_of(target, progress)
            else:
                digest = work.copy(source, target, progress)
            header = read_header(target)  # of what is installed, in case the source changed meanwhile
            manifest = _manifest(model_id, source.name, digest, header)
            work.publish(folder, model_id, manifest)
        except BaseException:
            work.discard(folder)
            raise


def checked_id(model_id: str) -> str:
    """The id itself. Raises InvalidModelFile if it is not allowed."""
    what = f"naming a model {model_id!r}"
    hint = "Choose another name with --id."
    if not ID_PATTERN.fullmatch(model_id):
        raise InvalidModelFile(what, "a name has letters, digits, '.', '_' and '-', and does not begin with '.'", hint)
    if model_id.lower() in RESERVED:
        raise InvalidModelFile(what, "this name is reserved", hint)
    return model_id


def _visible(root: Path, problems: list[Problem]) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Problem(root, error.strerror or str(error), f"Let the service read {root}."))
        return []


def _stray(path: Path) -> Problem | None:
    if path.suffix.lower() != ".gguf":
        return None
    return Problem(path, "a file that was not imported", f"Run 'docent models import {path}'.")


def _manifest(model_id: str, source: str, digest: str, header: GgufHeader) -> dict[str, object]:
    return {
        "version": _VERSION,
        "id": model_id,
        "file": FILE,
        "size": header.file_bytes,
        "sha256": digest,
        "imported_at": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "source": source.encode("utf-8", "backslashreplace").decode(),
        "header": asdict(header),
    }


def _spec(folder: Path) -> ModelSpec | Problem:
    """The model in this folder, as a rule by its manifest alone: the file's head was read when it was imported."""
    hint = f"Remove {folder} and import the model again."
    try:
        manifest = read_manifest(folder)
        path = folder / FILE
        spec = ModelSpec(
            id=folder.name,
            path=path,
            size=_number(manifest, "size"),
            sha256=_text(manifest, "sha256"),
            imported_at=_text(manifest, "imported_at"),
            source=_text(manifest, "source"),
            header=_header(manifest.get("header")) or read_header(path),
        )
        if path.stat().st_size != spec.size:
            return Problem(folder, f"{path} has not the size that was imported", hint)
        return spec
    except OSError as error:
        return Problem(folder, f"{error.strerror}: {error.filename}", hint)
    except InvalidModelFile as error:
        return Problem(folder, error.why, hint)
    except (ValueError, TypeError, KeyError) as error:
        return Problem(folder, f"its manifest is not valid: {error}", hint)


def _header(content: object) -> GgufHeader | None:
    """The description as the import wrote it; None if another version wrote it, and the file has to be read again."""
    if not isinstance(content, dict) or set(content) != {field.name for field in fields(GgufHeader)}:
        return None
    values: dict[str, Any] = dict(content)
    plain = (field for field in fields(GgufHeader) if field.type in (int, str))
    if not all(isinstance(values[field.name], field.type) for field in plain if isinstance(field.type, type)):
        return None
    values["kv_heads"] = tuple(int(heads) for heads in values["kv_heads"])
    return GgufHeader(**values)


def _number(manifest: Mapping[str, object], key: str) -> int:
    value = manifest[key]
    if not isinstance(value, int):
        raise TypeError(f"{key} is not a number")
    return value


def _text(manifest: Mapping[str, object], key: str) -> str:
    value = manifest[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is not a text")
    return value
