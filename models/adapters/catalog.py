"""Lists, imports and removes the installed LoRA adapters, and checks that one fits a base model.

Rule: an adapter is applied only to a base of its own architecture whose tensors have the shapes it changes, and only
while its file is the one imported. Its content's hash is its identity: other content under the same id is another
version, added and made current by one rename. Older files stay until they are removed.

The instance is a snapshot like `Catalog`; methods that read or write files block.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from models.adapters.gguf_lora import check_misfit, check_values, misfit, read_adapter
from models.adapters.manifest import (
    AGAIN,
    FILE,
    AdapterBase,
    AdapterNotes,
    AdapterOrigin,
    AdapterSpec,
    DamagedAdapter,
    manifest_of,
    read_entry,
    read_versions,
)
from models.adapters.peft_conversion import changes, convert
from models.catalog.catalog import ModelSpec, checked_id
from models.catalog.installer import Installer, Progress, finish_file, id_from_name, installer, no_progress, sha256_of
from models.catalog.versioned_folder import ContentCheck, description_of, drop_version, version_named, version_of
from models.errors import InvalidModelFile, ModelExists, ModelInUse, UnknownAdapter
from models.formats.gguf_reader import read_directory
from models.formats.regular_file import sync_file

__all__ = ["FILE", "AdapterBase", "AdapterCatalog", "AdapterNotes", "AdapterSpec", "check_fits"]

NO_NOTES: Final = AdapterNotes()


@dataclass(frozen=True, slots=True)
class _Import:
    """One import in progress; `base` is None for a GGUF adapter that fits no installed model yet."""

    source: Path
    adapter_id: str
    what: str
    base: ModelSpec | None
    origin: AdapterOrigin
    progress: Progress


@dataclass(frozen=True, slots=True)
class _Scan:
    """The result of one scan of the folder; replaced as a whole."""

    specs: Mapping[str, AdapterSpec] = field(default_factory=dict)
    damaged: Mapping[str, DamagedAdapter] = field(default_factory=dict)


class AdapterCatalog:
    """The folder of adapters."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scan = _Scan()
        self._scanning = threading.Lock()
        self._contents = ContentCheck()
        self.rescan()

    # -- reading ------------------------------------------------------------------------------------------------------

    def list(self) -> tuple[AdapterSpec, ...]:
        """All usable adapters, by id."""
        return tuple(spec for _, spec in sorted(self._scan.specs.items()))

    def damaged(self) -> tuple[DamagedAdapter, ...]:
        """The adapters that the last scan could not use, by id."""
        return tuple(one for _, one in sorted(self._scan.damaged.items()))

    def get(self, adapter_id: str) -> AdapterSpec:
        """One adapter. Raises UnknownAdapter, listing the installed ones, or InvalidModelFile for a damaged one."""
        scan = self._scan
        if adapter_id in scan.specs:
            return scan.specs[adapter_id]
        what = f"using the adapter {adapter_id!r}"
        if adapter_id in scan.damaged:
            raise InvalidModelFile(what, scan.damaged[adapter_id].why, AGAIN.format(adapter_id))
        installed = ", ".join(sorted(scan.specs)) or "none"
        raise UnknownAdapter(
            what,
            "no adapter of this name is installed",
            f"installed: {installed}; add one with `docent adapters import FILE`",
        )

    def rescan(self) -> None:
        """Scan the folder again. If two rescans overlap, the later wins."""
        with self._scanning:
            found = [read_entry(folder) for folder in sorted(self.root.glob("[!.]*"))]
            self._scan = _Scan(
                {one.id: one for one in found if isinstance(one, AdapterSpec)},
                {one.id: one for one in found if isinstance(one, DamagedAdapter)},
            )

    def versions(self, adapter_id: str) -> tuple[AdapterSpec, ...]:
        """Every content of an id, newest first. Raises UnknownAdapter."""
        self._require(adapter_id)
        return read_versions(self.root / adapter_id)

    def check_unchanged(self, spec: AdapterSpec) -> None:
        """Check that the file is the one imported, by its stamp or else its hash. Raises InvalidModelFile.

        Quick for an untouched file; one restored from a backup is hashed once for each instance.
        """

        def refuse(why: str) -> InvalidModelFile:
            return InvalidModelFile(f"using the adapter {spec.id!r}", why, AGAIN.format(spec.id))

        self._contents.check(spec, refuse)

    # -- changing -----------------------------------------------------------------------------------------------------

    def import_adapter(
        self,
        source: Path,
        *,
        bases: Sequence[ModelSpec],
        base: ModelSpec | None = None,
        adapter_id: str | None = None,
        replace: bool = False,
        notes: AdapterNotes = NO_NOTES,
        progress: Progress = no_progress,
    ) -> AdapterSpec:
        """Import a GGUF adapter or a PEFT folder, whole or not at all, checked against `base`.

        `base` defaults to the one of the installed `bases` that the adapter fits. If the id has this content already,
        repairs its file. Other content is refused, or with `replace` becomes the current version.
        Raises InvalidModelId, InvalidModelFile, ModelExists, ModelBusy, ModelStorageFull, or ModelError if the disk
        fails.
        """
        chosen = checked_id(adapter_id or id_from_name(source.resolve().name if source.is_dir() else source.name))
        what = f"importing {source} as {chosen}"
        fitting = _base_for(what, source, bases, base)
        return self._run(chosen, what, source, fitting, replace=replace, notes=notes, progress=progress)

    def import_gguf(
        self, source: Path, *, adapter_id: str | None = None, progress: Progress = no_progress
    ) -> AdapterSpec:
        """Import a GGUF adapter whose base is not known yet. Raises as `import_adapter` does."""
        chosen = checked_id(adapter_id or id_from_name(source.name))
        what = f"importing {source} as {chosen}"
        return self._run(chosen, what, source, None, replace=False, notes=NO_NOTES, progress=progress)

    def remove(self, adapter_id: str) -> None:
        """Delete an adapter with all its versions, even a damaged one.

        Raises UnknownAdapter, ModelBusy, or ModelError if the disk fails.
        """
        self._require(adapter_id)
        with installer(self.root, f"removing the adapter {adapter_id}") as work:
            work.remove(adapter_id)
        self.rescan()

    def remove_version(self, adapter_id: str, version: str) -> AdapterSpec:
        """Delete one older version. Raises UnknownAdapter, ModelInUse for the current one, ModelBusy, ModelError."""
        what = f"removing the version {version} of {adapter_id}"
        chosen = version_named(version, self.versions(adapter_id), what, UnknownAdapter)
        if chosen.sha256 == self.get(adapter_id).sha256:
            hint = f"`docent adapters remove {adapter_id}` removes all of them"
            raise ModelInUse(what, "it is the current version", hint)
        with installer(self.root, what) as work:
            drop_version(work, adapter_id, chosen)
        self.rescan()
        return chosen

    # -- inside -------------------------------------------------------------------------------------------------------

    def _require(self, adapter_id: str) -> None:
        if adapter_id not in self._scan.damaged:
            self.get(adapter_id)

    def _run(
        self,
        adapter_id: str,
        what: str,
        source: Path,
        base: ModelSpec | None,
        *,
        replace: bool,
        notes: AdapterNotes,
        progress: Progress,
    ) -> AdapterSpec:
        recorded = AdapterBase(base.id, base.sha256, base.header.name) if base else AdapterBase()
        job = _Import(source, adapter_id, what, base, AdapterOrigin(source.resolve().name, recorded, notes), progress)
        with installer(self.root, what) as work:
            self.rescan()
            folder = work.prepare()
            try:
                digest = self._bring(work, job, folder / FILE)
                self._place(work, job, folder, digest, replace=replace)
            finally:
                work.discard(folder)
        self.rescan()
        return self.get(adapter_id)

    def _bring(self, work: Installer, job: _Import, target: Path) -> str:
        """Write the adapter to `target` as GGUF, check all of it, and return its sha256."""
        if job.base is not None and job.source.is_dir():
            work.check_space(job.what, 2 * sum(path.stat().st_size for path in job.source.glob("*.safetensors")))
            convert(job.source, job.base.header, target)
            sync_file(target)
            finish_file(target, self.root)
            digest = sha256_of(target)
        else:
            read_adapter(job.source)
            work.check_space(job.what, job.source.stat().st_size)
            digest = work.copy(job.source, target, job.progress)
        adapter = read_adapter(target)  # the installed file, in case the source changed meanwhile
        check_values(adapter)
        if job.base is not None:
            check_misfit(job.what, adapter, job.base.header.architecture, job.base.path)
        return digest

    def _place(self, work: Installer, job: _Import, folder: Path, digest: str, *, replace: bool) -> None:
        """Publish the prepared folder as a new adapter, a repair, or a further version, which becomes current."""
        if not (self.root / job.adapter_id).exists():
            adapter = read_adapter(folder / FILE)
            work.publish(folder, job.adapter_id, manifest_of(job.adapter_id, digest, adapter, job.origin))
            return
        current = self._scan.specs.get(job.adapter_id)
        same = next((one for one in read_versions(self.root / job.adapter_id) if one.sha256 == digest), None)
        repairs = same is not None and (current is None or current.sha256 == digest)
        if not (repairs or replace):
            hint = "choose another name with --id, or add it as a version of this one with --replace"
            raise ModelExists(job.what, f"another adapter with the name {job.adapter_id} is already installed", hint)
        described = description_of(digest)
        adapter = read_adapter((folder / FILE).rename(folder / _file_name(same, digest)))
        manifest = manifest_of(job.adapter_id, digest, adapter, _kept(job.origin, same))
        if repairs:
            work.repair(folder, job.adapter_id, manifest, described)
            return
        if current is not None:
            work.describe_version(job.adapter_id, description_of(current.sha256))
        work.add_version(folder, job.adapter_id, described, manifest)


def _file_name(same: AdapterSpec | None, digest: str) -> str:
    return same.path.name if same else f"{version_of(digest)}.gguf"


def _kept(origin: AdapterOrigin, same: AdapterSpec | None) -> AdapterOrigin:
    """Keep the notes, licence and base of an earlier import of this content where the new import states none."""
    if same is None:
        return origin
    notes = AdapterNotes(origin.notes.licence or same.licence, origin.notes.notes or same.notes)
    return AdapterOrigin(origin.source, origin.base if origin.base.id else same.base, notes)


def check_fits(adapter: AdapterSpec, base: ModelSpec) -> None:
    """Raises InvalidModelFile if the adapter does not fit the base. Reads both heads: blocks."""
    what = f"applying the adapter {adapter.id} to the model {base.id}"
    check_misfit(what, read_adapter(adapter.path), base.header.architecture, base.path)


def _base_for(what: str, source: Path, bases: Sequence[ModelSpec], base: ModelSpec | None) -> ModelSpec | None:
    """The one model that the adapter fits; None for a GGUF adapter of an architecture that is not installed.

    Raises InvalidModelFile, listing the candidates, if none or several fit.
    """
    reasons = {one.id: (one, _misfit(source, one)) for one in ([base] if base else bases)}
    fitting = [one for one, why in reasons.values() if not why]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(one.id for one in fitting)
        raise InvalidModelFile(
            what, f"it fits several models: {names}", "name the model it was trained for with --base"
        )
    near = _near(source, (one for one, _ in reasons.values()))
    if not source.is_dir() and not near and base is None:
        return None
    if not reasons:
        hint = "first import the model it was trained for"
        raise InvalidModelFile(what, "no model is installed that it could fit", hint)
    why = "; ".join(f"{one.id}: {why}" for one, why in reasons.values() if base or not near or one in near)
    raise InvalidModelFile(what, f"it does not fit: {why}", "import its model, or name it with --base")


def _near(source: Path, bases: Iterable[ModelSpec]) -> Sequence[ModelSpec]:
    """The bases with the adapter's architecture; none for a PEFT folder, which does not state one."""
    if source.is_dir():
        return ()
    architecture = read_adapter(source).architecture
    return [one for one in bases if one.header.architecture == architecture]


def _misfit(source: Path, base: ModelSpec) -> str:
    if not source.is_dir():
        return misfit(read_adapter(source), base.header.architecture, read_directory(base.path).tensors)
    return changes(source, base.header, read_directory(base.path).tensors)
