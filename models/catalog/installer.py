"""Installs a file and its manifest into a folder of models or adapters, whole or not at all.

Layout: ROOT/<id>/<file> and ROOT/<id>/manifest.json. Rule: everything is prepared in ROOT/.new-*, synced to disk, and
becomes visible by one rename of a folder. One installer at a time holds ROOT/.lock, so any .new-* or .old-* it finds
was left by one that died, and is removed. A further version is added in three steps: its file, its description, and
last, by one rename, the manifest, which names the current version.

Modes: files 0640 and folders 2750, in ROOT's group, so that the service can read what root or an operator installed.
Root gives them to ROOT's owner.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from models.errors import ModelBusy, ModelError, ModelStorageFull
from models.formats.regular_file import open_regular
from models.humanize import amount

Progress = Callable[[int, int], None]  # bytes done, total bytes
MANIFEST: Final = "manifest.json"
FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o2750
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_CHUNK: Final = 4 * 1024 * 1024  # one read; chosen by eye
SPARE: Final = 64 * 1024 * 1024  # bytes an import leaves free on the disk; chosen by eye
_MAX_MANIFEST: Final = 1024 * 1024  # bytes; a bound for untrusted files, chosen by eye


def no_progress(done: int, total: int) -> None:
    """Discards progress, for callers that do not show it."""


def id_from_name(name: str) -> str:
    """Make an id from a file's name: its stem, with every run of other than the allowed characters turned into '-'."""
    stem = Path(name).name.removesuffix(".gguf").removesuffix(".GGUF")
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:128]
    return cleaned or "model"


def sha256_of(path: Path, progress: Progress = no_progress) -> str:
    """The sha256 of a file's content, in hex. Blocks. Raises OSError."""
    digest = hashlib.sha256()
    total, done = path.stat().st_size, 0
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(done, total)
    return digest.hexdigest()


@contextlib.contextmanager
def installer(root: Path, what: str) -> Iterator["Installer"]:
    """Lock the folder and yield its only installer.

    Raises ModelBusy if another process holds the lock, ModelError if the folder or the disk fails.
    """
    with translated(what), contextlib.ExitStack() as stack:
        root.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        lock = stack.enter_context((root / ".lock").open("ab"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelBusy(what, "another import or removal is running", "try again when it is done") from None
        hand_over(root / ".lock", root)
        work = Installer(root)
        work.sweep()
        yield work


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate the file system's errors into ModelStorageFull or ModelError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelStorageFull(what, "no space is left on the disk", "free some space and try again") from error
        if error.errno == errno.EFBIG:
            why = "the disk's file system, or a limit of this user, allows no file of this size"
            raise ModelStorageFull(
                what, why, "use a disk with another file system than FAT, or raise 'ulimit -f'"
            ) from error
        hint = "run the command as root" if isinstance(error, PermissionError) else "check the folder and its disk"
        raise ModelError(what, f"{error.strerror}: {error.filename}", hint) from error


class Installer:
    """Installs into and removes from one folder, whose lock `installer` holds."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def sweep(self) -> None:
        """Remove what earlier installers left behind when they died."""
        for left in [*self._root.glob(".new-*"), *self._root.glob(".old-*")]:
            shutil.rmtree(left, ignore_errors=True)

    def check_space(self, what: str, size: int) -> None:
        """Raises ModelStorageFull if the disk has no room for `size` bytes."""
        free = shutil.disk_usage(self._root).free
        if free < size + SPARE:
            raise ModelStorageFull(
                what,
                f"it needs {amount(size + SPARE)} on the disk of {self._root}, and {amount(free)} are free",
                "free some space and try again",
            )

    def prepare(self) -> Path:
        """Make a hidden folder on the same disk."""
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        folder.chmod(FOLDER_MODE)
        hand_over(folder, self._root)
        return folder

    def copy(self, source: Path, target: Path, progress: Progress) -> str:
        """Copy and sync the file, and return its sha256."""
        with open_regular(source) as reader, target.open("xb") as writer:
            digest = _copy(reader, writer, progress)
        finish_file(target, self._root)
        return digest

    def move(self, source: Path, target: Path) -> None:
        """Move a file that is on the same disk."""
        source.rename(target)
        finish_file(target, self._root)

    def publish(self, folder: Path, model_id: str, manifest: Mapping[str, object]) -> None:
        """Write the manifest and make the folder visible as `model_id`."""
        self._write_manifest(folder, manifest)
        folder.rename(self._root / model_id)
        _sync_folder(self._root)

    def repair(self, folder: Path, model_id: str, manifest: Mapping[str, object], name: str) -> None:
        """Replace each installed file by the prepared one, the manifest last.

        `name` is the file of its description as a version, which is replaced too if it exists.
        """
        self._write_manifest(folder, manifest)
        installed = self._root / model_id
        for path in sorted(folder.iterdir(), key=lambda one: one.name == MANIFEST):
            path.replace(installed / path.name)
        _sync_folder(installed)
        self.discard(folder)
        if (installed / name).exists():
            self._copy_manifest(installed / MANIFEST, installed / name)

    def add_version(self, folder: Path, model_id: str, name: str, manifest: Mapping[str, object]) -> None:
        """Add the one prepared file as a version described in `name`, and make it current."""
        installed = self._root / model_id
        (file,) = folder.iterdir()
        self._write_manifest(folder, manifest)  # before the file is moved, so that a full disk can still undo
        file.replace(installed / file.name)
        _sync_folder(installed)
        (folder / MANIFEST).replace(installed / name)
        _sync_folder(installed)
        self.discard(folder)
        self.switch(model_id, name)

    def describe_version(self, model_id: str, name: str) -> None:
        """Save the current version's description as `name`, if it does not exist yet."""
        installed = self._root / model_id
        if not (installed / name).exists():
            self._copy_manifest(installed / MANIFEST, installed / name)

    def switch(self, model_id: str, name: str) -> None:
        """Make the version described in `name` current, by one rename."""
        installed = self._root / model_id
        self._copy_manifest(installed / name, installed / MANIFEST)

    def drop_version(self, model_id: str, name: str, file: Path) -> None:
        """Delete a version that is not current: its description, then its file."""
        installed = self._root / model_id
        (installed / name).unlink()
        _sync_folder(installed)
        file.unlink(missing_ok=True)

    def _copy_manifest(self, source: Path, target: Path) -> None:
        folder = self.prepare()
        self._write_manifest(folder, json.loads(source.read_bytes()))
        (folder / MANIFEST).replace(target)
        _sync_folder(target.parent)
        self.discard(folder)

    def _write_manifest(self, folder: Path, manifest: Mapping[str, object]) -> None:
        path = folder / MANIFEST
        with path.open("x", encoding="utf-8") as file:
            json.dump(manifest, file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        finish_file(path, self._root)
        _sync_folder(folder)

    def discard(self, folder: Path) -> None:
        """Delete a prepared folder."""
        shutil.rmtree(folder, ignore_errors=True)

    def remove(self, model_id: str) -> None:
        """Delete an installed folder; one rename makes it disappear for readers at once."""
        doomed = Path(tempfile.mkdtemp(prefix=".old-", dir=self._root))
        (self._root / model_id).rename(doomed / "folder")
        _sync_folder(self._root)
        shutil.rmtree(doomed, ignore_errors=True)  # the next sweep retries what cannot be deleted now


def read_manifest(folder: Path, name: str = MANIFEST) -> dict[str, object]:
    """Read a manifest. Raises ValueError or TypeError unless it is a JSON object of at most 1 MiB, OSError."""
    path = folder / name
    if path.stat().st_size > _MAX_MANIFEST:
        raise ValueError("the manifest is too large")
    try:
        content = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("the manifest is nested too deeply") from error
    if not isinstance(content, dict):
        raise TypeError("the manifest is not a JSON object")
    return content


def _copy(reader: BinaryIO, writer: BinaryIO, progress: Progress) -> str:
    digest = hashlib.sha256()
    total, done = os.fstat(reader.fileno()).st_size, 0
    while chunk := reader.read(_CHUNK):
        writer.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        progress(done, total)
    writer.flush()
    os.fsync(writer.fileno())
    return digest.hexdigest()


def finish_file(path: Path, root: Path) -> None:
    """Set the mode, group and owner of a file that becomes part of `root`."""
    path.chmod(FILE_MODE)
    hand_over(path, root)


def hand_over(path: Path, root: Path) -> None:
    """Set the group of `path` to that of the root folder, and as root also its owner. The lock file gets mode 0660."""
    there, here = root.stat(), path.stat()
    owner = there.st_uid if os.geteuid() == 0 else -1
    if (here.st_gid, here.st_uid) != (there.st_gid, there.st_uid):
        with contextlib.suppress(PermissionError):  # not a member of that group: the file keeps its own
            os.chown(path, owner, there.st_gid)
    if path.is_file() and path.name == ".lock":
        with contextlib.suppress(PermissionError):
            path.chmod(0o660)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
