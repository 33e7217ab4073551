"""Opens regular files without blocking, stamps them to detect changes, and replaces them whole.

Rule: a pipe, a device or a folder is refused before it is opened, because opening one may block for ever or have side
effects.
"""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Stamp(NamedTuple):
    """Differs after a file is written or replaced: size in bytes, time of the last change in ns, inode."""

    size: int
    mtime_ns: int
    inode: int


def open_regular(path: Path) -> BinaryIO:
    """Open for reading. Raises OSError, also if it is not a regular file."""
    _check(path, path.stat())
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115 - handed on
    try:
        _check(path, os.fstat(file.fileno()))  # it may have been replaced meanwhile
    except BaseException:
        file.close()
        raise
    return file


def stamp_of(path: Path) -> Stamp:
    """Raises OSError, also if it is not a regular file."""
    found = path.stat()
    _check(path, found)
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


def sync_file(path: Path) -> None:
    """Wait until the file's content is on the disk. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def replace_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace the file at `path`, whole or not at all, once `content` is on the disk. Raises OSError.

    The new file has `mode`, less the umask.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, _NEW, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "it is a directory, not a regular file", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
