"""Scans a folder: what is at each path, without opening or following anything.

Paths are bytes, relative to the scanned folder.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest.types import identity_of
from ingest.watching.ignored_names import is_ignored
from ingest.watching.stability import Entry, EntryKind

_DOCUMENT_SUFFIX = b".pdf"
_NETWORK_TYPES = """
9p afs ceph cifs coda davfs fuse glusterfs lustre ncpfs nfs nfs4 ocfs2 prl_fs smb3 smbfs vboxsf virtiofs vmhgfs
"""
_NETWORK = frozenset(_NETWORK_TYPES.split())


@dataclass(slots=True)
class FolderScan:
    """The entries of a tree, and the folders in it that could not be read."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    unreadable: list[bytes] = field(default_factory=list)

    def add(self, other: "FolderScan") -> None:
        """Add the result of another scan."""
        self.entries.update(other.entries)
        self.unreadable.extend(other.unreadable)

    def unseen(self, path: bytes) -> bool:
        """Whether a path lies in a folder that could not be read."""
        return any(not folder or path.startswith(folder + b"/") for folder in self.unreadable)


def scan(root: bytes, folder: bytes = b"") -> FolderScan:
    """Scan everything beneath `folder`, a path relative to `root`. Never raises OSError."""
    found = FolderScan()
    pending = [folder]
    while pending:
        inner = pending.pop()
        try:
            names = os.listdir(os.path.join(root, inner))  # bytes, which pathlib does not support
        except (FileNotFoundError, NotADirectoryError):
            if not inner:
                found.unreadable.append(inner)
            continue
        except OSError:
            found.unreadable.append(inner)
            continue
        for path in _joined(inner, names):
            entry = entry_at(root, path)
            if entry is not None:
                found.entries[path] = entry
            elif is_folder(root, path):
                pending.append(path)
    return found


def entry_at(root: bytes, path: bytes) -> Entry | None:
    """The entry at a path; None for nothing, an ignored name, or a folder to descend into."""
    if is_ignored(path):
        return None
    try:
        status = os.lstat(os.path.join(root, path))
    except OSError:
        return None
    kind = _kind(status.st_mode, path)
    return None if kind is None else Entry(identity_of(status), kind)


def is_folder(root: bytes, path: bytes) -> bool:
    """Whether a path is a folder that scans descend into."""
    if path and (is_ignored(path) or path.lower().endswith(_DOCUMENT_SUFFIX)):
        return False
    try:
        return stat.S_ISDIR(os.lstat(os.path.join(root, path)).st_mode)
    except OSError:
        return False


def is_passed_over(path: bytes) -> bool:
    """Whether a full scan misses this path: it does not descend into folders with a document's name."""
    return _DOCUMENT_SUFFIX + b"/" in path.lower()


def is_network(path: bytes) -> bool:
    """Whether the path is on a network file system.

    Such a file system may change without this kernel's knowledge, so inotify does not see the changes.
    """
    kind = filesystem(path)
    return kind.split(".")[0] in _NETWORK


def filesystem(path: bytes) -> str:
    """The kernel's name for the type of the file system that a path is on; empty if unknown."""
    try:
        device = os.stat(path).st_dev  # bytes
        mounts = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return ""
    number = b"%d:%d" % (os.major(device), os.minor(device))
    for line in mounts.splitlines():
        fields, _, rest = line.partition(b" - ")
        if fields.split()[2] == number:
            return rest.split()[0].decode("ascii", "replace")
    return ""


def _joined(folder: bytes, names: list[bytes]) -> Iterator[bytes]:
    for name in names:
        yield folder + b"/" + name if folder else name


def _kind(mode: int, path: bytes) -> EntryKind | None:
    if stat.S_ISREG(mode):
        return EntryKind.FILE
    if stat.S_ISLNK(mode):
        return EntryKind.LINK
    if stat.S_ISDIR(mode):
        return EntryKind.FOLDER if path.lower().endswith(_DOCUMENT_SUFFIX) else None
    return EntryKind.SPECIAL
