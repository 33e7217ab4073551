"""Opens an untrusted file safely, and notices when it changes while it is read.

Rule: a file is opened once, without following links and without blocking on a fifo. Its hash, its parser and the final
check all use that one descriptor, so nothing can be swapped in between.
"""

import hashlib
import os
import stat
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from ingest.errors import EmptyFile, FileChanged, Stopped, Unreadable, UnsupportedType
from ingest.parsing.file_type import BEGINNING, refused
from ingest.types import identity_of, same_content

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20

UNREADABLE_HINT = "give the service's group permission to read it; it is then retried automatically"
LINK_HINT = "put the file itself in its place; links are not followed"
UNSUPPORTED_HINT = "put the document itself in its place, or remove it from the folder"
FOLDER_HINT = "rename the folder so that it does not end in .pdf"
CHANGED_HINT = "it is read again once it stops changing"


def display_path(path: bytes | Path) -> str:
    """A path as people can read it: bytes that are not UTF-8 and unprintable characters become backslash escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class OpenedFile:
    """A regular file, open for reading. Close it, or use it as a context manager."""

    def __init__(self, path: bytes | Path, descriptor: int) -> None:
        self.path = os.fsencode(path)
        self.descriptor = descriptor
        self.what = f"reading {display_path(self.path)}"
        self.identity = identity_of(os.fstat(descriptor))

    def sha256(self, stop: Event | None = None) -> str:
        """SHA-256 of the content in hexadecimal. Raises Unreadable on an I/O error, FileChanged, Stopped."""
        digest = hashlib.sha256()
        position = 0
        while block := self._read(_BLOCK, position):
            digest.update(block)
            position += len(block)
            if stop is not None and stop.is_set():
                raise Stopped(self.what, "the service is stopping")
        self.check_unchanged()
        return digest.hexdigest()

    def check_type(self) -> None:
        """Raise EmptyFile, or UnsupportedType if the first bytes show that it cannot be read."""
        if self.identity.size == 0:
            raise EmptyFile(self.what, "it is empty (0 bytes)", "copy it again; the first copy may have failed")
        try:
            refused(self._read(BEGINNING, 0))
        except UnsupportedType as error:
            raise UnsupportedType(self.what, error.why, error.hint) from None

    def check_unchanged(self) -> None:
        """Raise FileChanged if it was written to since it was opened."""
        if not same_content(self.identity, identity_of(os.fstat(self.descriptor))):
            raise FileChanged(self.what, "it changed while it was being read", CHANGED_HINT)

    def _read(self, size: int, position: int) -> bytes:
        try:
            return os.pread(self.descriptor, size, position)
        except OSError as error:
            raise Unreadable(self.what, _cause(error), "check the disk (`dmesg`) and copy the file again") from error

    def close(self) -> None:
        """Close the descriptor. Closing twice does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_file(path: bytes | Path, *, beneath: bytes | Path | None = None) -> OpenedFile:
    """Open a regular file for reading.

    With `beneath`, `path` is relative to that folder and no component of it may be a link. Raises Unreadable (missing,
    permission denied, I/O error, a link) and UnsupportedType for anything but a regular file.
    """
    what = f"reading {display_path(path)}"
    try:
        descriptor = _open(os.fsencode(path), None if beneath is None else os.fsencode(beneath))
    except OSError as error:
        raise Unreadable(what, _cause(error), _hint(error)) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise UnsupportedType(
                what, "it is a folder whose name ends in .pdf; files inside it may be missed", FOLDER_HINT
            )
        raise UnsupportedType(what, "it is not a regular file but a pipe, socket or device", UNSUPPORTED_HINT)
    return OpenedFile(path, descriptor)


def _open(path: bytes, beneath: bytes | None) -> int:
    if beneath is None:
        return os.open(path, _FLAGS)
    folder = os.open(beneath, _FOLDER_FLAGS & ~os.O_NOFOLLOW)
    try:
        *parents, name = path.split(b"/")
        for parent in parents:
            if parent == b"..":
                raise PermissionError(1, "it lies outside the library")
            inner = os.open(parent or b".", _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _cause(error: OSError) -> str:
    if error.errno == 40:  # ELOOP
        return "it is a link"
    return (error.strerror or "input/output error").lower()


def _hint(error: OSError) -> str:
    if error.errno == 40:
        return LINK_HINT
    return UNREADABLE_HINT if isinstance(error, PermissionError) else ""
