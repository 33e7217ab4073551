"""The library folder as files: the two cases in which Docent itself writes there, adding and removing.

Everything here is relative to the library and never follows a link out of it. A file appears under its real name
complete or not at all.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance.errors import DocumentExists, InvalidRequest, StoreFull, UnknownDocument
from ingest.identity import identity_of
from ingest.ignored import is_ignored
from ingest.types import FileIdentity

_MAX_NAME_BYTES = 255
_FILE_MODE = 0o640


def _check_name(name: bytes, kind: str) -> None:
    why = ""
    if not name or name in (b".", b".."):
        why = "it is empty"
    elif b"/" in name or b"\0" in name:
        why = "it holds a slash or a zero byte"
    elif is_ignored(name):
        why = "the library ignores such names: hidden files, unfinished downloads and what systems leave about"
    elif len(name) > _MAX_NAME_BYTES:
        why = f"it is longer than {_MAX_NAME_BYTES} bytes"
    if why:
        raise InvalidRequest(f"adding a document under the {kind} {os.fsdecode(name)!r}", why, f"choose another {kind}")


class Library:
    """The watched folder."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)

    @property
    def root(self) -> bytes:
        """Absolute path of the folder."""
        return self._root

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a document's path."""
        return os.path.join(self._root, path)

    def target(self, collection: bytes, name: bytes) -> bytes:
        """The relative path that a new file gets.

        Raises:
            InvalidRequest: the name or collection cannot be a file's or folder's in the library.
        """
        _check_name(name, "name")
        if not collection:
            return name
        _check_name(collection, "collection")
        return os.path.join(collection, name)

    def publish(self, temporary: bytes, path: bytes, *, replace: bool) -> bool:
        """Give a synced temporary file its real name; returns whether it replaced one.

        Raises:
            DocumentExists: the name is taken and `replace` was not asked for.
            StoreFull: the folder cannot be written.
        """
        target = self.absolute(path)
        what = f"adding {os.fsdecode(path)!r}"
        try:
            self._make_parent(target)
            os.chmod(temporary, _FILE_MODE)
            replaced = self._rename(temporary, target, what, replace)
            _sync_folder(os.path.dirname(target))
        except OSError as error:
            raise StoreFull(
                what, error.strerror or str(error), "check the library's disk and its permissions"
            ) from error
        return replaced

    def _rename(self, temporary: bytes, target: bytes, what: str, replace: bool) -> bool:
        if replace:
            existed = os.path.lexists(target)
            if existed and not stat.S_ISREG(os.lstat(target).st_mode):
                raise DocumentExists(what, "something that is not a file has this name", "choose another name")
            os.rename(temporary, target)
            return existed
        try:
            os.link(temporary, target, follow_symlinks=False)  # unlike rename, never overwrites
        except FileExistsError:
            hint = "`--replace` (or the field `replace`) replaces it; or choose another name or collection"
            raise DocumentExists(what, "a file of this name is already in the library", hint) from None
        os.unlink(temporary)
        return False

    def _make_parent(self, target: bytes) -> None:
        parent = os.path.dirname(target)
        if parent != self._root:
            with contextlib.suppress(FileExistsError):
                os.mkdir(parent)
                os.chmod(parent, stat.S_IMODE(os.stat(self._root).st_mode))  # as open as the library, setgid included

    def delete(self, path: bytes) -> None:
        """Delete a document's file.

        Raises:
            UnknownDocument: the file is not there any more.
            StoreFull: the folder cannot be written.
        """
        what = f"removing {os.fsdecode(path)!r}"
        try:
            os.unlink(self.absolute(path))
            _sync_folder(os.path.dirname(self.absolute(path)))
        except FileNotFoundError:
            raise UnknownDocument(what, "its file is already gone", "nothing is left to do") from None
        except OSError as error:
            raise StoreFull(
                what, error.strerror or str(error), "check the library's disk and its permissions"
            ) from error

    def device(self) -> int:
        """The number of the disk that the folder is on."""
        return os.stat(self._root).st_dev

    def walk(self) -> Iterator[tuple[bytes, FileIdentity]]:
        """Every visible regular file, as its path and identity; folders that cannot be read are passed over."""
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


def _sync_folder(folder: bytes) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
