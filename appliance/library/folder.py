"""Adds files to the library folder and removes them: the only two cases in which Docent writes there.

Every path is relative to the library, and no link is followed out of it. A file appears under its real name complete or
not at all; where there are no hard links, as on exFAT, an empty file may be visible in its place for a moment.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import Conflict, DocumentExists, InvalidRequest, StoreFull, UnknownDocument
from ingest.types import FileIdentity, identity_of
from ingest.watching.ignored_names import is_ignored

_MAX_NAME_BYTES = 255
FILE_MODE = 0o640
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_MODES = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP}


def _check_name(name: bytes, kind: str) -> None:
    why = ""
    if not name or name in (b".", b".."):
        why = "it is empty"
    elif b"/" in name or b"\0" in name:
        why = "it contains a slash or a zero byte"
    elif is_ignored(name):
        why = "the library ignores such names: hidden files, unfinished downloads and system files"
    elif len(name) > _MAX_NAME_BYTES:
        why = f"it is longer than {_MAX_NAME_BYTES} bytes"
    if why:
        raise InvalidRequest(f"adding a document under the {kind} {os.fsdecode(name)!r}", why, f"choose another {kind}")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder at one moment: its device number, its inode, and when a name in it last changed."""

    device: int
    inode: int
    mtime_ns: int


class Library:
    """The watched folder."""

    def __init__(self, root: Path, link: Callable[..., None] = os.link) -> None:
        """`link` makes a hard link; same signature as `os.link`."""
        self._root = os.fsencode(root)
        self._link = link

    @property
    def root(self) -> bytes:
        """Absolute path of the folder."""
        return self._root

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a document."""
        return os.path.join(self._root, path)

    def target(self, collection: bytes, name: bytes) -> bytes:
        """The path of a new file, relative to the library.

        Raises:
            InvalidRequest: the library cannot hold a file or folder of this name.
        """
        _check_name(name, "name")
        if not collection:
            return name
        _check_name(collection, "collection")
        return os.path.join(collection, name)

    def publish(self, temporary: bytes, path: bytes, *, replace: bool) -> bool:
        """Rename a synced temporary file to its real name; returns whether it replaced a file.

        Raises:
            DocumentExists: the name is taken and `replace` is false, or is that of something other than a file.
            Conflict: the collection's name is that of a file or a link, or a link is in the temporary file's place.
            StoreFull: the folder cannot be written.
        """
        what = f"adding {os.fsdecode(path)!r}"
        folder, name = os.path.split(path)
        with _os_errors_translated(what):
            if not stat.S_ISREG(os.lstat(temporary).st_mode):  # its folder may be written to by every member
                raise Conflict(what, "its temporary file was replaced while it was received", "add it again")
            self._make_folder(folder)
            with self._opened(folder, what) as descriptor:
                replaced = self._rename(temporary, descriptor, name, what, replace)
                os.fsync(descriptor)
        return replaced

    def _rename(self, temporary: bytes, folder: int, name: bytes, what: str, replace: bool) -> bool:
        if not replace:
            try:
                self._rename_new(temporary, folder, name)
            except FileExistsError:
                hint = "use `--replace` (or the field `replace`) to overwrite it, or choose another name or collection"
                raise DocumentExists(what, "a file of this name is already in the library", hint) from None
            return False
        try:
            existed = stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            os.rename(temporary, name, dst_dir_fd=folder)
            return False
        if not existed:
            raise DocumentExists(what, "something that is not a file has this name", "choose another name")
        os.rename(temporary, name, dst_dir_fd=folder)
        return True

    def _rename_new(self, temporary: bytes, folder: int, name: bytes) -> None:
        try:
            self._link(temporary, name, dst_dir_fd=folder, follow_symlinks=False)  # unlike rename, never overwrites
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _rename_without_links(temporary, folder, name)
        else:
            os.unlink(temporary)

    def _make_folder(self, folder: bytes) -> None:
        if not folder:
            return
        made = self.absolute(folder)
        with contextlib.suppress(FileExistsError):
            os.mkdir(made)
            set_folder_mode(made, stat.S_IMODE(os.stat(self._root).st_mode))  # the library's own mode, setgid included

    @contextlib.contextmanager
    def _opened(self, folder: bytes, what: str) -> Iterator[int]:
        """A descriptor of a folder of the library, reached without following links.

        A user who may write to the library could put a link there, and the service's rights would apply elsewhere.
        """
        descriptor = os.open(self._root, _FOLDER_FLAGS & ~os.O_NOFOLLOW)
        try:
            for part in folder.split(b"/") if folder else ():
                inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
            why = f"{os.fsdecode(folder)!r} in the library is a file or a link, not a folder"
            raise Conflict(what, why, "choose another collection, or put a folder in its place") from error
        finally:
            os.close(descriptor)

    def delete(self, path: bytes) -> None:
        """Delete a document's file.

        Raises:
            UnknownDocument: the file no longer exists.
            Conflict: it is a folder, or its folder has been replaced by a link.
            StoreFull: the folder cannot be written.
        """
        what = f"removing {os.fsdecode(path)!r}"
        folder, name = os.path.split(path)
        with _os_errors_translated(what):
            try:
                with self._opened(folder, what) as descriptor:
                    os.unlink(name, dir_fd=descriptor)
                    os.fsync(descriptor)
            except FileNotFoundError:
                raise UnknownDocument(what, "its file has already been deleted", "nothing to do") from None
            except IsADirectoryError:
                raise Conflict(
                    what, "it is a folder, not a file", "move its files out and remove it yourself"
                ) from None

    def place(self) -> Place:
        """What identifies the folder now; raises OSError if there is none."""
        found = os.stat(self._root)
        return Place(found.st_dev, found.st_ino, found.st_mtime_ns)

    def walk(self) -> Iterator[tuple[bytes, FileIdentity]]:
        """Path and identity of every regular file that is not ignored; skips folders that cannot be read."""
        for folder, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not is_ignored(name)]
            for name in files:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    found = os.lstat(path)
                    if stat.S_ISREG(found.st_mode) and not is_ignored(name):
                        yield os.path.relpath(path, self._root), identity_of(found)

    def clean(self, prefix: bytes) -> None:
        """Remove temporary files that a crash left behind."""
        with os.scandir(self._root) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)


def set_file_mode(descriptor: int) -> None:
    """Give a received file the mode of the library's files, if the file system has modes.

    By its descriptor: a path may have become a link to another file of the service's by now.
    """
    _fchmod(descriptor, FILE_MODE)


def set_folder_mode(path: bytes, mode: int) -> None:
    """Set the mode of a folder that this process has just made, if it is still that: no link, and its own."""
    try:
        descriptor = os.open(path, _FOLDER_FLAGS)
    except OSError as error:
        if error.errno not in _NO_FOLDER | {errno.ENOENT}:
            raise
        return
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            _fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _fchmod(descriptor: int, mode: int) -> None:
    try:
        os.fchmod(descriptor, mode)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise


def _rename_without_links(temporary: bytes, folder: int, name: bytes) -> None:
    """Rename to a free name: an empty file reserves the name, then the rename replaces it.

    Raises:
        FileExistsError: the name is taken.
    """
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE, dir_fd=folder))
    try:
        os.rename(temporary, name, dst_dir_fd=folder)
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise


@contextlib.contextmanager
def _os_errors_translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "check the library's disk and its permissions"
        raise StoreFull(what, error.strerror or str(error), hint) from error
