"""Brings one content into the folder of models: as a new model, a repair, a further version or a switch to one.

Rule: runs under the folder's lock (`installer`); the current version changes by one rename.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.catalog.installer import Installer, Progress, no_progress, sha256_of, translated
from models.catalog.manifest import (
    FILE,
    ModelSpec,
    ModelVersion,
    Origin,
    Problem,
    manifest_of,
    read_entry,
    read_versions,
)
from models.catalog.versioned_folder import description_of, descriptions_in, version_of
from models.errors import HashMismatch, ModelExists
from models.formats.gguf_header import GgufHeader, read_header
from models.formats.regular_file import stamp_of


@dataclass(slots=True)
class Import:
    """One import in progress. `expected`: the sha256 the source must have, empty if unknown; `move` it, or copy."""

    source: Path
    model_id: str
    header: GgufHeader
    what: str
    origin: Origin
    expected: str
    move: bool
    progress: Progress
    digest: str = ""

    def hash_source(self) -> str:
        """The source's sha256; the file is read once. Raises HashMismatch if it is not the expected one."""
        self.digest = self.digest or sha256_of(self.source, self.progress)
        self.check(self.digest)
        return self.digest

    def check(self, digest: str) -> None:
        """Raises HashMismatch if this is not the expected sha256."""
        if self.expected and digest != self.expected:
            why = f"its sha256 is {digest}, and its checksum file says {self.expected}"
            raise HashMismatch(self.what, why, "the file is damaged: copy or download it again")


def bring_in(root: Path, work: Installer, job: Import, *, replace: bool) -> None:
    """Install the source under its id. Raises ModelExists if the id is taken and `replace` is false."""
    folder = root / job.model_id
    if not folder.exists():
        _place(work, job)
        return
    same = _same(folder, job)
    if same is not None and same.current:
        if not is_whole(same):
            _place(work, job, same)
        return
    entry = read_entry(folder)
    if not replace or (isinstance(entry, Problem) and entry.spec is None):
        raise _exists(job, entry)
    describe_current(folder, work)
    if same is not None and is_whole(same):
        work.switch(job.model_id, description_of(same.sha256))
    else:
        _place(work, job, same, beside=True)


def is_whole(version: ModelVersion, progress: Progress = no_progress) -> bool:
    """Whether the version's file still has its content. Hashes it: blocks."""
    try:
        return stamp_of(version.path).size == version.size and sha256_of(version.path, progress) == version.sha256
    except OSError:
        return False


def describe_current(folder: Path, work: Installer) -> None:
    """Save the description of the current version, before another becomes current."""
    for one in read_versions(folder):
        if one.current:
            work.describe_version(folder.name, description_of(one.sha256))


def tidy(folders: Iterable[Path]) -> None:
    """Remove model files that no description names, left behind when a change was killed."""
    for folder in folders:
        found = read_versions(folder)
        described = {description_of(one.sha256) for one in found}
        known = any(one.current for one in found) and described >= {*descriptions_in(folder)}
        if known:  # else a description is broken, and its file may still be needed
            kept = {one.path for one in found}
            for path in folder.glob("*.gguf"):
                if path not in kept:
                    path.unlink(missing_ok=True)


def _same(folder: Path, job: Import) -> ModelVersion | None:
    """The installed version with the source's content. Hashes the source only if a version has the same size."""
    alike = [one for one in read_versions(folder) if one.size == job.header.file_bytes]
    if not alike:
        return None
    with translated(job.what):
        digest = job.hash_source()
    return next((one for one in alike if one.sha256 == digest), None)


def _place(work: Installer, job: Import, damaged: ModelVersion | None = None, *, beside: bool = False) -> None:
    """Install the source: as a new model, in place of a `damaged` version, or `beside` the others."""
    if not job.move:
        work.check_space(job.what, job.header.file_bytes)
    folder = work.prepare()
    target = folder / FILE
    try:
        digest = _bring(work, job, target)
        name = damaged.path.name if damaged else f"{version_of(digest)}.gguf" if beside else FILE
        target = target.rename(folder / name)
        header = read_header(target)  # of the installed file, in case the source changed meanwhile
        manifest = manifest_of(job.model_id, name, digest, header, stamp_of(target), job.origin)
        described = description_of(digest)
        if beside:
            work.add_version(folder, job.model_id, described, manifest)
        elif damaged:
            work.repair(folder, job.model_id, manifest, described)
        else:
            work.publish(folder, job.model_id, manifest)
    except BaseException:
        if job.move and target.exists():
            target.rename(job.source)
        work.discard(folder)
        raise


def _bring(work: Installer, job: Import, target: Path) -> str:
    """Move or copy the source to `target` and return its sha256. Raises HashMismatch."""
    if not job.move:
        digest = work.copy(job.source, target, job.progress)
        job.check(digest)
        return digest
    digest = job.hash_source()
    work.move(job.source, target)
    return digest


def _exists(job: Import, entry: ModelSpec | Problem) -> ModelExists:
    name = job.model_id
    if isinstance(entry, Problem) and entry.spec is None:
        hint = f"choose another name with --id, or remove it first with `docent models remove {name}`"
        return ModelExists(job.what, f"a damaged model has the name {name}: {entry.why}", hint)
    hint = "choose another name with --id, or add it as a version of this one with --replace"
    return ModelExists(job.what, f"another model with the name {name} is already installed", hint)
