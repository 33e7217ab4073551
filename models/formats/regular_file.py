"""Regular files, opened without ever waiting for one, and told apart from what they were.

Rule: a pipe, a device or a folder is refused before it is opened, because opening one may wait for ever or do
something.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Stamp(NamedTuple):
    """What changes whenever a file is written or replaced: size in bytes, time of the last change, inode."""

    size: int
    mtime_ns: int
    inode: int


def open_regular(path: Path) -> BinaryIO:
    """For reading. Raises OSError, also if it is not a regular file."""
    _check(path, path.stat())
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115 - handed on
    try:
        _check(path, os.fstat(file.fileno()))  # in case another took its place
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
    """Wait until what was written to it is on the disk. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "it is a directory, not a regular file", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
