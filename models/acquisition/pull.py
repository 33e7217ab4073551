"""Downloads a model from a hub into the folder of models: resumable, verified, whole or not at all.

Layout: ROOT/.pull/<sha256>.part holds the part of one content received so far, from whichever hub. Rules: the part is
kept when the connection, the hub, the disk or the process fails, and the next pull resumes at its end. It is removed
when its content is not what the hub announced, or not a model, so that the next pull starts clean; and after a week
without a change. Installing takes the folder's lock only after the whole file has arrived and is verified. The name of
a repository's file is never used as a path here.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.acquisition.file_choice import choose
from models.acquisition.hub import Hub, Repo, RepoFile, TryAgain
from models.catalog.catalog import Catalog, ModelSpec, Origin, checked_id
from models.catalog.installer import (
    FILE_MODE,
    FOLDER_MODE,
    SPARE,
    Installer,
    Progress,
    finish_file,
    hand_over,
    id_from_name,
    no_progress,
    translated,
)
from models.errors import (
    HashMismatch,
    InvalidModelFile,
    ModelBusy,
    ModelStorageFull,
    UnknownModel,
)
from models.humanize import amount

FOLDER: Final = ".pull"
_KEPT_S: Final = 7 * 24 * 3600.0  # this and the two below are chosen by eye
_READ: Final = 4 * 1024 * 1024
_BYTES_PER_DISK_CHECK: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The file to download, as the hub describes it; it will be installed as `model_id`."""

    repo: Repo
    file: RepoFile
    model_id: str

    @property
    def origin(self) -> Origin:
        """The origin that its manifest will record."""
        return Origin(f"{self.repo.id}:{self.file.name}", self.repo.commit, self.repo.licence)


def look_up(hub: Hub, repo_id: str, file: str = "", *, revision: str = "", model_id: str = "") -> PullRequest:
    """Ask the hub and choose a file. Raises as `Hub.repo`, `choose` and `Hub.confirm` do, and InvalidModelId."""
    repo = hub.repo(repo_id, revision)
    chosen = hub.confirm(repo, choose(repo.files, file, f"choosing a file of {repo_id}"))
    return PullRequest(repo, chosen, checked_id(model_id or id_from_name(chosen.name.rsplit("/", 1)[-1])))


def pull(
    hub: Hub,
    wanted: PullRequest,
    catalog: Catalog,
    progress: Progress = no_progress,
    clock: Callable[[], float] = time.time,
) -> ModelSpec:
    """Download and install the model, unless it is already installed. New content under a taken id becomes current.

    Raises HubError, HashMismatch, InvalidModelFile, ModelExists, ModelBusy, ModelStorageFull, or ModelError if the disk
    fails.
    """
    present = _present(catalog, wanted, progress)
    if present is not None:
        return present
    file, what = wanted.file, f"pulling {wanted.repo.id}:{wanted.file.name}"
    with translated(what), _partial(catalog.root, file, what, clock, progress) as part:
        try:
            with translated(what):
                part.check_space(what)
                _fill(hub, wanted, part, progress, what)
                part.finish(what)
            return catalog.adopt(part.path, wanted.model_id, file.sha256, wanted.origin, replace=True)
        except (HashMismatch, InvalidModelFile):
            part.path.unlink(missing_ok=True)
            raise
        except ModelStorageFull as error:
            raise _full(error, part) from error


def _present(catalog: Catalog, wanted: PullRequest, progress: Progress) -> ModelSpec | None:
    """The model, if its id has this content already; switches to it if another version is current."""
    with contextlib.suppress(UnknownModel, InvalidModelFile):
        if any(one.sha256 == wanted.file.sha256 for one in catalog.versions(wanted.model_id)):
            return catalog.use_version(wanted.model_id, wanted.file.sha256, progress)
    return None


def _fill(hub: Hub, wanted: PullRequest, part: "_Part", progress: Progress, what: str) -> None:
    """Download the rest. Retries while the part grows; gives up after the hub's `patience.attempts` without growth."""
    failures, most = 0, part.size
    while part.size < wanted.file.size:
        try:
            with hub.stream(wanted.repo, wanted.file, part.size) as (start, pieces):
                if start != part.size:
                    part.restart()
                progress(part.size, wanted.file.size)
                for piece in pieces:
                    part.write(piece, what)
                    progress(part.size, wanted.file.size)
            part.check_end(what)
        except TryAgain as error:
            failures = 1 if part.size > most else failures + 1
            most = max(most, part.size)
            hub.pause(error, failures)


class _Part:
    """The part received so far, open and locked; hashed as it grows."""

    def __init__(self, path: Path, descriptor: int, file: RepoFile, progress: Progress) -> None:
        self.path = path
        self.size = 0
        self._descriptor = descriptor
        self._file = file
        self._digest = hashlib.sha256()
        self._unchecked = 0
        self._read_existing(progress)

    def _read_existing(self, progress: Progress) -> None:
        while chunk := os.read(self._descriptor, _READ):
            self._digest.update(chunk)
            self.size += len(chunk)
            progress(min(self.size, self._file.size), self._file.size)
        if self.size > self._file.size:
            self.restart()

    def restart(self) -> None:
        """Discard everything and start from zero."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size, self._digest = 0, hashlib.sha256()

    def check_space(self, what: str) -> None:
        """Raises ModelStorageFull if the disk has no room for the rest."""
        Installer(self.path.parent.parent).check_space(what, self._file.size - self.size)

    def write(self, piece: bytes, what: str) -> None:
        """Append `piece`.

        Raises HashMismatch for more than was announced, ModelStorageFull shortly before the disk is full, OSError.
        """
        if self.size + len(piece) > self._file.size:
            raise _other(what, f"the hub announced {self._file.size} bytes and sent more")
        self._unchecked += len(piece)
        if self._unchecked >= _BYTES_PER_DISK_CHECK:
            self._unchecked = 0
            if shutil.disk_usage(self.path.parent).free < SPARE // 2:
                raise ModelStorageFull(what, "the disk has become full during the download")
        rest = memoryview(piece)
        while rest:
            written = os.write(self._descriptor, rest)
            self._digest.update(rest[:written])
            self.size += written
            rest = rest[written:]

    def check_end(self, what: str) -> None:
        """Raises TryAgain if the answer ended early: a broken connection without a stated length, or a short file."""
        if self.size < self._file.size:
            raise TryAgain(_other(what, f"the hub's file ended after {self.size} bytes of {self._file.size}"))

    def finish(self, what: str) -> None:
        """Sync the part to disk. Raises HashMismatch if it is not the content announced."""
        found = self._digest.hexdigest()
        if found != self._file.sha256:
            raise _other(what, f"the download has the sha256 {found}, the hub announced {self._file.sha256}")
        os.fsync(self._descriptor)


@contextlib.contextmanager
def _partial(root: Path, file: RepoFile, what: str, clock: Callable[[], float], progress: Progress) -> Iterator[_Part]:
    """Open and lock the part of a content for this process alone. Raises ModelBusy, OSError."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    hand_over(folder, root)
    _sweep(folder, clock() - _KEPT_S)
    path = folder / f"{file.sha256}.part"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        if not _lock(descriptor) or not _is_still(path, descriptor):
            raise ModelBusy(what, "another pull of it is already running", "wait until it is done")
        finish_file(path, root)
        yield _Part(path, descriptor, file, progress)
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is empty


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the path still names the open file: another pull may have installed it meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    return False


def _sweep(folder: Path, before: float) -> None:
    """Remove parts that have not changed since `before`, in seconds since the epoch, unless they are locked."""
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    if _lock(descriptor):
                        path.unlink(missing_ok=True)
                finally:
                    os.close(descriptor)


def _full(error: ModelStorageFull, part: _Part) -> ModelStorageFull:
    kept = f"; the {amount(part.size)} received are kept, and the same command resumes there" if part.size else ""
    return ModelStorageFull(error.what, error.why, f"{error.hint or 'free some space and try again'}{kept}")


def _other(what: str, why: str) -> HashMismatch:
    return HashMismatch(what, why, "the download was removed; try again later, or use another mirror")
