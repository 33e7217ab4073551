"""Lists, imports, verifies and removes the installed models.

Layout: models/<id>/model.gguf and manifest.json, with further versions of the same id beside them, see `manifest`.
Rule: a folder is a model only if it has a readable manifest and a file of the size the manifest states. Anything else
is a `Problem` with a hint, and is never used. A GGUF file copied there by hand is a problem too: the copy may still be
running, and its hash is unknown. A file that seems changed since its import is hashed before it is loaded.

The instance is a snapshot; `rescan()` takes a new one, and if two rescans overlap, the later wins. Methods that read or
write files block, so they must not run in an event loop.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from models.catalog.importing import Import, bring_in, describe_current, is_whole, tidy
from models.catalog.installer import ID_PATTERN, Progress, id_from_name, installer, no_progress, sha256_of, translated
from models.catalog.manifest import (
    AGAIN,
    FILE,
    ModelSpec,
    ModelVersion,
    Origin,
    Problem,
    read_entry,
    read_versions,
)
from models.catalog.versioned_folder import ContentCheck, description_of, drop_version, version_named
from models.errors import (
    InvalidModelFile,
    InvalidModelId,
    ModelInUse,
    ModelLoadFailed,
    UnknownModel,
)
from models.formats.gguf_header import read_header

__all__ = ["FILE", "RESERVED", "Catalog", "ModelSpec", "ModelVersion", "Origin", "Problem", "checked_id"]

RESERVED: Final = frozenset({"docent", "extractive", "all-minilm-l6-v2"})


@dataclass(frozen=True, slots=True)
class _Scan:
    """The result of one scan of the folder; replaced as a whole."""

    specs: Mapping[str, ModelSpec] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


class Catalog:
    """The folder of models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scan = _Scan()
        self._scanning = threading.Lock()
        self._contents = ContentCheck()
        self.others: dict[str, str] = {}
        """Ids that belong to something other than a language model, with the reason to give when one is requested."""
        self.rescan()

    # -- reading ------------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything in the folder that the last scan could not use."""
        return self._scan.problems

    def list(self) -> tuple[ModelSpec, ...]:
        """All usable models, by id."""
        return tuple(spec for _, spec in sorted(self._scan.specs.items()))

    def damaged(self) -> tuple[Problem, ...]:
        """The models that the last scan could not use, by id."""
        return _damaged(self._scan)

    def get(self, model_id: str) -> ModelSpec:
        """A model, even a damaged one: loading it then says what is wrong.

        Raises UnknownModel, listing the installed models, or ModelLoadFailed if its manifest cannot be read either.
        """
        entry = self.entry(model_id)
        if isinstance(entry, ModelSpec):
            return entry
        if entry.spec is None:
            raise ModelLoadFailed(f"using the model {model_id!r}", entry.why, entry.hint)
        return entry.spec

    def entry(self, model_id: str, doing: str = "using") -> ModelSpec | Problem:
        """A model, or what is wrong with it. Raises UnknownModel, whose message begins with `doing`."""
        scan = self._scan
        if model_id in scan.specs:
            return scan.specs[model_id]
        for problem in _damaged(scan):
            if problem.id == model_id:
                return problem
        what = f"{doing} the model {model_id!r}"
        if model_id in self.others:
            raise UnknownModel(what, self.others[model_id], "`docent models list` shows the models that can answer")
        installed = ", ".join(sorted(scan.specs)) or "none"
        raise UnknownModel(
            what,
            "no model of this name is installed",
            f"installed: {installed}; add one with `docent models import FILE.gguf`",
        )

    def rescan(self) -> None:
        """Scan the folder again. A folder that cannot be read becomes a problem; nothing is raised."""
        with self._scanning:
            self._scan = _scanned(self.root)

    # -- changing -----------------------------------------------------------------------------------------------------

    def import_gguf(
        self,
        source: Path,
        *,
        model_id: str | None = None,
        replace: bool = False,
        expected: str = "",
        origin: Origin | None = None,
        progress: Progress = no_progress,
    ) -> ModelSpec:
        """Copy a GGUF file in, whole or not at all.

        If the id has this content already, repairs its file where that is damaged. Other content is refused, or with
        `replace` becomes the current version; older versions are kept. A file inside the folder of models is moved
        instead of copied. `expected` is its sha256, if known; `origin` defaults to the file's name.
        Raises InvalidModelId, InvalidModelFile, HashMismatch, ModelExists, ModelBusy, ModelStorageFull, or ModelError
        if the disk fails.
        """
        chosen = checked_id(model_id or id_from_name(source.name))
        what = f"importing {source} as {chosen}"
        move = source.resolve().parent == self.root.resolve()
        came_from = origin or Origin(source.name)
        job = Import(source, chosen, read_header(source), what, came_from, expected, move, progress)
        return self._run(job, replace=replace)

    def adopt(self, source: Path, model_id: str, digest: str, origin: Origin, *, replace: bool) -> ModelSpec:
        """Move in a file on the same disk that has just been hashed to `digest`. Raises as `import_gguf` does."""
        chosen = checked_id(model_id)
        what = f"installing {origin.source} as {chosen}"
        job = Import(source, chosen, read_header(source), what, origin, digest, True, no_progress, digest)
        return self._run(job, replace=replace)

    def remove(self, model_id: str) -> None:
        """Delete a model, even a damaged one. Raises UnknownModel, ModelBusy, or ModelError if the disk fails."""
        self.entry(model_id, "removing")
        with installer(self.root, f"removing the model {model_id}") as work:
            work.remove(model_id)
        self.rescan()

    def use_version(self, model_id: str, version: str, progress: Progress = no_progress) -> ModelSpec:
        """Make another of its versions current, by one rename.

        Raises UnknownModel (also for the version), InvalidModelFile if its file is damaged, ModelBusy, ModelError.
        """
        what = f"switching {model_id} to the version {version}"
        self.entry(model_id)
        with installer(self.root, what) as work:
            chosen = version_named(version, self.versions(model_id), what, UnknownModel)
            if not is_whole(chosen, progress):
                hint = "import its file again with --replace, or remove this version with --version"
                raise InvalidModelFile(what, f"{chosen.path} is missing or has changed since it was imported", hint)
            if not chosen.current:
                describe_current(self.root / model_id, work)
                work.switch(model_id, description_of(chosen.sha256))
            self._tidy()
        self.rescan()
        return self.get(model_id)

    def remove_version(self, model_id: str, version: str) -> ModelVersion:
        """Delete one version. Raises UnknownModel, ModelInUse for the current version, ModelBusy, ModelError."""
        what = f"removing the version {version} of {model_id}"
        self.entry(model_id)
        with installer(self.root, what) as work:
            chosen = version_named(version, self.versions(model_id), what, UnknownModel)
            if chosen.current:
                hint = f"`docent models use {model_id} VERSION` first, or `docent models remove {model_id}` for all"
                raise ModelInUse(what, "it is the current version", hint)
            drop_version(work, model_id, chosen)
            self._tidy()
        self.rescan()
        return chosen

    def versions(self, model_id: str) -> tuple[ModelVersion, ...]:
        """Every version of a model, even a damaged one, newest first. Raises UnknownModel."""
        self.entry(model_id)
        return read_versions(self.root / model_id)

    def verify(self, model_id: str, progress: Progress = no_progress) -> None:
        """Hash the file again. Raises UnknownModel, or InvalidModelFile if its content has changed since the import."""
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
                AGAIN.format(model_id),
            )

    def check_unchanged(self, spec: ModelSpec, progress: Progress = no_progress) -> None:
        """Check that the file is the one imported, by its stamp or else its hash. Raises ModelLoadFailed.

        Quick for an untouched file; one restored from a backup is hashed once for each instance.
        """

        def refuse(why: str) -> ModelLoadFailed:
            return ModelLoadFailed(f"loading the model {spec.id}", why, AGAIN.format(spec.id))

        self._contents.check(spec, refuse, progress)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _run(self, job: Import, *, replace: bool) -> ModelSpec:
        with installer(self.root, job.what) as work:
            self.rescan()
            bring_in(self.root, work, job, replace=replace)
            self._tidy()
        self.rescan()
        return self.get(job.model_id)

    def _tidy(self) -> None:
        tidy(self.root / model_id for model_id in self._scan.specs)


def checked_id(model_id: str) -> str:
    """Return `model_id` itself. Raises InvalidModelId if it is not allowed."""
    what = f"naming a model {model_id!r}"
    hint = "choose another name with --id"
    if not ID_PATTERN.fullmatch(model_id):
        why = "a name may only contain letters, digits, '.', '_' and '-', and may not begin with '.'"
        raise InvalidModelId(what, why, hint)
    if model_id.lower() in RESERVED:
        raise InvalidModelId(what, "this name is reserved", hint)
    return model_id


def _scanned(root: Path) -> _Scan:
    specs: dict[str, ModelSpec] = {}
    problems: list[Problem] = []
    for path in _visible(root, problems):
        found = read_entry(path) if path.is_dir() else _stray(path)
        if isinstance(found, ModelSpec):
            specs[found.id] = found
        elif found is not None:
            problems.append(found)
    return _Scan(specs, tuple(problems))


def _damaged(scan: _Scan) -> tuple[Problem, ...]:
    return tuple(problem for problem in scan.problems if problem.id)


def _visible(root: Path, problems: list[Problem]) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Problem(root, error.strerror or str(error), f"allow the service to read {root}"))
        return []


def _stray(path: Path) -> Problem | None:
    if path.suffix.lower() != ".gguf":
        return None
    return Problem(path, "the file has not been imported", f"run `docent models import {path}`")
