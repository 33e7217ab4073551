"""The models that are installed: what they are, where they lie, how they came here.

Layout: models/<id>/model.gguf and manifest.json. Rule: a folder counts as a model only with a readable manifest and a
file of the size it tells; anything else in the folder is a `Problem` that says what to do, and is never used. A GGUF
dropped there by hand is such a problem too: it may still be being copied, and nobody has hashed it. A file that looks
touched since its import is hashed before it is loaded.

The instance is a snapshot; `rescan()` takes a new one. Methods that read or write files block: not for an event loop.
"""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from models.errors import InvalidModelFile, InvalidModelId, ModelExists, ModelLoadFailed, UnknownModel
from models.files import Stamp, stamp_of
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
_AGAIN: Final = (
    "import its file again with 'docent models import FILE.gguf --id {0}', or remove it with 'docent models remove {0}'"
)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One installed model. `size` and `header` sizes in bytes, `imported_at` RFC 3339 in UTC, `source` a file name.

    `stamp` is the file's as it was imported; None if another version imported it.
    """

    id: str
    path: Path
    size: int
    sha256: str
    imported_at: str
    source: str
    header: GgufHeader
    stamp: Stamp | None = None

    @property
    def content(self) -> tuple[str, Stamp | None]:
        """What a process that has it loaded was loaded from; another one after a repair."""
        return self.sha256, self.stamp

    @property
    def template(self) -> Literal["gguf", "chatml"]:
        """Where its chat template comes from: the file, or ChatML because it has none."""
        return "gguf" if self.header.chat_template else "chatml"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the folder that is not usable, and what to do about it.

    `id` is that of a damaged model, empty for anything else; `spec` is what its manifest tells, if that is readable.
    """

    path: Path
    why: str
    hint: str
    id: str = ""
    spec: ModelSpec | None = None


class Catalog:
    """The folder of models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._specs: dict[str, ModelSpec] = {}
        self._problems: tuple[Problem, ...] = ()
        self._sound: set[tuple[str, Stamp]] = set()  # hashes of files that were not as imported but have the content
        self.others: dict[str, str] = {}
        """Ids of what is no language model, and why; for whoever asks for one."""
        self.rescan()

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What of the folder could not be used at the last scan."""
        return self._problems

    def list(self) -> tuple[ModelSpec, ...]:
        """All usable models, by id."""
        return tuple(self._specs[key] for key in sorted(self._specs))

    def damaged(self) -> tuple[Problem, ...]:
        """The models that were not usable at the last scan, by id."""
        return tuple(problem for problem in self._problems if problem.id)

    def get(self, model_id: str) -> ModelSpec:
        """What is known of a model; of a damaged one too, for then its load says what is wrong.

        Raises UnknownModel, naming those that are installed, or ModelLoadFailed if not even its manifest can be read.
        """
        entry = self.entry(model_id)
        if isinstance(entry, ModelSpec):
            return entry
        if entry.spec is None:
            raise ModelLoadFailed(f"using the model {model_id!r}", entry.why, entry.hint)
        return entry.spec

    def entry(self, model_id: str) -> ModelSpec | Problem:
        """The model, or what is wrong with it. Raises UnknownModel."""
        if model_id in self._specs:
            return self._specs[model_id]
        for problem in self.damaged():
            if problem.id == model_id:
                return problem
        what = f"using the model {model_id!r}"
        if model_id in self.others:
            raise UnknownModel(what, self.others[model_id], "`docent models list` shows which models answer")
        installed = ", ".join(sorted(self._specs)) or "none"
        raise UnknownModel(
            what,
            "no model of this name is installed",
            f"installed: {installed}; add one with 'docent models import FILE.gguf'",
        )

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
        """Copy a GGUF in, whole or not at all. The same content under the same id repairs what is installed, if need be.

        A file that lies in the folder of models itself is moved, not copied.
        Raises InvalidModelId, InvalidModelFile, ModelExists, ModelBusy, ModelStorageFull, or ModelError if the disk
        refuses.
        """
        chosen = checked_id(model_id or id_from_name(source.name))
        what = f"importing {source} as {chosen}"
        header = read_header(source)
        with installer(self.root, what) as work:
            self.rescan()
            present = (self.root / chosen).exists()
            if present and self._is_sound(chosen, source, what, progress):
                return self.get(chosen)
            self._install(work, source, chosen, header, what, progress, repair=present)
        self.rescan()
        return self.get(chosen)

    def remove(self, model_id: str) -> None:
        """Delete a model, a damaged one too. Raises UnknownModel, ModelBusy, or ModelError if the disk refuses."""
        self.entry(model_id)
        with installer(self.root, f"removing the model {model_id}") as work:
            work.remove(model_id)
        self.rescan()

    def verify(self, model_id: str, progress: Progress = no_progress) -> None:
        """Hash the file again. Raises UnknownModel, or InvalidModelFile if it is not what was imported."""
        spec = self.entry(model_id)
        what = f"verifying the model {model_id}"
        if isinstance(spec, Problem):
            raise InvalidModelFile(what, spec.why, spec.hint)
        with translated(what):
            found = sha256_of(spec.path, progress)
        if found != spec.sha256:
            raise InvalidModelFile(
                what,
                f"{spec.path} has changed since it was imported: its sha256 is {found}, it was {spec.sha256}",
                _AGAIN.format(model_id),
            )

    def check_unchanged(self, spec: ModelSpec, progress: Progress = no_progress) -> None:
        """The file is the one that was imported: by its stamp, or else by its hash. Raises ModelLoadFailed.

        Quick for an untouched file; one that was restored from a backup is hashed once for each instance.
        """
        what = f"loading the model {spec.id}"
        try:
            found = stamp_of(spec.path)
            if found == spec.stamp or (spec.sha256, found) in self._sound:
                return
            if found.size == spec.size and sha256_of(spec.path, progress) == spec.sha256:
                self._sound.add((spec.sha256, found))
                return
        except OSError as error:
            raise ModelLoadFailed(what, _reason(error), _AGAIN.format(spec.id)) from error
        raise ModelLoadFailed(what, f"{spec.path} has changed since it was imported", _AGAIN.format(spec.id))

    def _is_sound(self, model_id: str, source: Path, what: str, progress: Progress) -> bool:
        """Whether what is installed has the source's content now; False if it once had.

        Raises ModelExists if it never had, or if nobody knows what it was.
        """
        try:
            entry = self.entry(model_id)
        except UnknownModel:
            entry = Problem(self.root / model_id, "it is not a model", "")
        spec = entry if isinstance(entry, ModelSpec) else entry.spec
        with translated(what):
            if spec is None or spec.size != source.stat().st_size or spec.sha256 != sha256_of(source, progress):
                raise ModelExists(
                    what,
                    f"another model is installed under the name {model_id}"
                    if spec
                    else f"something else has the name {model_id}: {entry.why if isinstance(entry, Problem) else ''}",
                    f"choose another name with --id, or remove it first with 'docent models remove {model_id}'",
                )
            return isinstance(entry, ModelSpec) and sha256_of(spec.path, progress) == spec.sha256

    def _install(
        self,
        work: Installer,
        source: Path,
        model_id: str,
        header: GgufHeader,
        what: str,
        progress: Progress,
        *,
        repair: bool,
    ) -> None:
        inside = source.resolve().parent == self.root.resolve()
        if not inside:
            work.check_space(what, header.file_bytes)
        folder = work.prepare()
        try:
            target = folder / FILE
            digest = sha256_of(source, progress) if inside else work.copy(source, target, progress)
            if inside:
                source.rename(target)
                target.chmod(0o640)
            header = read_header(target)  # of what is installed, in case the source changed meanwhile
            manifest = _manifest(model_id, source.name, digest, header, stamp_of(target))
            (work.repair if repair else work.publish)(folder, model_id, manifest)
        except BaseException:
            if inside and target.exists():
                target.rename(source)
            work.discard(folder)
            raise


def checked_id(model_id: str) -> str:
    """The id itself. Raises InvalidModelId if it is not allowed."""
    what = f"naming a model {model_id!r}"
    hint = "choose another name with --id"
    if not ID_PATTERN.fullmatch(model_id):
        raise InvalidModelId(what, "a name has letters, digits, '.', '_' and '-', and does not begin with '.'", hint)
    if model_id.lower() in RESERVED:
        raise InvalidModelId(what, "this name is reserved", hint)
    return model_id


def _visible(root: Path, problems: list[Problem]) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Problem(root, error.strerror or str(error), f"let the service read {root}"))
        return []


def _stray(path: Path) -> Problem | None:
    if path.suffix.lower() != ".gguf":
        return None
    return Problem(path, "a file that was not imported", f"run 'docent models import {path}'")


def _manifest(model_id: str, source: str, digest: str, header: GgufHeader, stamp: Stamp) -> dict[str, object]:
    return {
        "version": _VERSION,
        "id": model_id,
        "file": FILE,
        "size": header.file_bytes,
        "sha256": digest,
        "imported_at": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "source": source.encode("utf-8", "backslashreplace").decode(),
        "header": asdict(header),
        "stamp": stamp._asdict(),
    }


def _spec(folder: Path) -> ModelSpec | Problem:
    """The model in this folder, as a rule by its manifest alone: the file's head was read when it was imported."""
    if not ID_PATTERN.fullmatch(folder.name):
        return Problem(folder, "no model can have this name", "give the folder another name")
    hint = _AGAIN.format(folder.name)
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
            stamp=_stamp(manifest.get("stamp")),
        )
    except OSError as error:
        return Problem(folder, _reason(error), f"remove it with 'docent models remove {folder.name}'", folder.name)
    except InvalidModelFile as error:
        return Problem(folder, error.why, hint, folder.name)
    except (ValueError, TypeError, KeyError) as error:
        return Problem(folder, f"its manifest is not valid: {error}", hint, folder.name)
    try:
        if stamp_of(path).size == spec.size:
            return spec
        return Problem(folder, f"{path} has not the size that was imported", hint, spec.id, spec)
    except OSError as error:
        return Problem(folder, _reason(error), hint, spec.id, spec)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"the file {error.filename} is missing"
    return f"{error.strerror}: {error.filename}"


def _stamp(content: object) -> Stamp | None:
    if not isinstance(content, dict) or set(content) != set(Stamp._fields):
        return None
    return Stamp(**content) if all(isinstance(value, int) for value in content.values()) else None


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
