"""The models that are installed: what they are, where they lie, how they came here.

Layout: models/<id>/model.gguf and manifest.json; further versions of the same name beside them, see `entry`. Rule: a
folder counts as a model only with a readable manifest and a file of the size it tells; anything else in the folder is a
`Problem` that says what to do, and is never used. A GGUF dropped there by hand is such a problem too: it may still be
being copied, and nobody has hashed it. A file that looks touched since its import is hashed before it is loaded.

The instance is a snapshot; `rescan()` takes a new one, and of two at once the later one counts. Methods that read or
write files block: not for an event loop.
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
    """What one look at the folder has found; replaced as a whole."""

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
        """Ids of what is no language model, and why; for whoever asks for one."""
        self.rescan()

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What of the folder could not be used at the last scan."""
        return self._scan.problems

    def list(self) -> tuple[ModelSpec, ...]:
        """All usable models, by id."""
        return tuple(spec for _, spec in sorted(self._scan.specs.items()))

    def damaged(self) -> tuple[Problem, ...]:
        """The models that were not usable at the last scan, by id."""
        return _damaged(self._scan)

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
        scan = self._scan
        if model_id in scan.specs:
            return scan.specs[model_id]
        for problem in _damaged(scan):
            if problem.id == model_id:
                return problem
        what = f"using the model {model_id!r}"
        if model_id in self.others:
            raise UnknownModel(what, self.others[model_id], "`docent models list` shows which models answer")
        installed = ", ".join(sorted(scan.specs)) or "none"
        raise UnknownModel(
            what,
            "no model of this name is installed",
            f"installed: {installed}; add one with 'docent models import FILE.gguf'",
        )

    def rescan(self) -> None:
        """Look at the folder again. A folder that cannot be read is a problem, not an error."""
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
        """Copy a GGUF in, whole or not at all. The same content under the same id repairs what is installed, if need be.

        Another content is refused, or with `replace` becomes the version that counts, the others being kept.
        A file that lies in the folder of models itself is moved, not copied. `expected` is its sha256, if one is known, `origin` where it came from, else its own name.
        Raises InvalidModelId, InvalidModelFile, HashMismatch, ModelExists, ModelBusy, ModelStorageFull, or ModelError if
        the disk refuses.
        """
        chosen = checked_id(model_id or id_from_name(source.name))
        what = f"importing {source} as {chosen}"
        move = source.resolve().parent == self.root.resolve()
        came_from = origin or Origin(source.name)
        job = Import(source, chosen, read_header(source), what, came_from, expected, move, progress)
        return self._run(job, replace=replace)

    def adopt(self, source: Path, model_id: str, digest: str, origin: Origin, *, replace: bool) -> ModelSpec:
        """Move a file in that lies on the same disk and whose sha256 was just found to be `digest`. Raises as above."""
        chosen = checked_id(model_id)
        what = f"installing {origin.source} as {chosen}"
        job = Import(source, chosen, read_header(source), what, origin, digest, True, no_progress, digest)
        return self._run(job, replace=replace)

    def remove(self, model_id: str) -> None:
        """Delete a model, a damaged one too. Raises UnknownModel, ModelBusy, or ModelError if the disk refuses."""
        self.entry(model_id)
        with installer(self.root, f"removing the model {model_id}") as work:
            work.remove(model_id)
        self.rescan()

    def use_version(self, model_id: str, version: str, progress: Progress = no_progress) -> ModelSpec:
        """Make another of its versions the one that counts: one rename.

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
        """Delete one version's file. Raises UnknownModel, ModelInUse for the one that counts, ModelBusy, ModelError."""
        what = f"removing the version {version} of {model_id}"
        self.entry(model_id)
        with installer(self.root, what) as work:
            chosen = version_named(version, self.versions(model_id), what, UnknownModel)
            if chosen.current:
                hint = f"'docent models use {model_id} VERSION' first, or 'docent models remove {model_id}' for all"
                raise ModelInUse(what, "it is the version that answers", hint)
            drop_version(work, model_id, chosen)
            self._tidy()
        self.rescan()
        return chosen

    def versions(self, model_id: str) -> tuple[ModelVersion, ...]:
        """Every version of a model, newest first; of a damaged one too. Raises UnknownModel."""
        self.entry(model_id)
        return read_versions(self.root / model_id)

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
                AGAIN.format(model_id),
            )

    def check_unchanged(self, spec: ModelSpec, progress: Progress = no_progress) -> None:
        """The file is the one that was imported: by its stamp, or else by its hash. Raises ModelLoadFailed.

        Quick for an untouched file; one that was restored from a backup is hashed once for each instance.
        """

        def refuse(why: str) -> ModelLoadFailed:
            return ModelLoadFailed(f"loading the model {spec.id}", why, AGAIN.format(spec.id))

        self._contents.check(spec, refuse, progress)

    # -- how it is done -----------------------------------------------------------------------------------------------

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
    """The id itself. Raises InvalidModelId if it is not allowed."""
    what = f"naming a model {model_id!r}"
    hint = "choose another name with --id"
    if not ID_PATTERN.fullmatch(model_id):
        raise InvalidModelId(what, "a name has letters, digits, '.', '_' and '-', and does not begin with '.'", hint)
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
        problems.append(Problem(root, error.strerror or str(error), f"let the service read {root}"))
        return []


def _stray(path: Path) -> Problem | None:
    if path.suffix.lower() != ".gguf":
        return None
    return Problem(path, "a file that was not imported", f"run 'docent models import {path}'")
