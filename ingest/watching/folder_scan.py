"""One look at a folder: what stands where, without opening or following anything.

Paths are bytes, relative to the folder that is scanned.
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
        """Take what a look at another folder found."""
        self.entries.update(other.entries)
        self.unreadable.extend(other.unreadable)

    def unseen(self, path: bytes) -> bool:
        """Whether a path lies in a folder that could not be read."""
        return any(not folder or path.startswith(folder + b"/") for folder in self.unreadable)


def scan(root: bytes, folder: bytes = b"") -> FolderScan:
    """Everything beneath `folder`, a path relative to `root`; never raises OSError."""
    found = FolderScan()
    waiting = [folder]
    while waiting:
        inner = waiting.pop()
        try:
            names = os.listdir(os.path.join(root, inner))  # bytes, which pathlib has not
        except (FileNotFoundError, NotADirectoryError):
            if not inner:
                found.unreadable.append(inner)
            continue
        except OSError:
            found.unreadable.append(inner)
            continue
        for path in _joined(inner, names):
            look_at = entry_at(root, path)
            if look_at is not None:
                found.entries[path] = look_at
            elif is_folder(root, path):
                waiting.append(path)
    return found


def entry_at(root: bytes, path: bytes) -> Entry | None:
    """What stands at a path, None for nothing, an ignored name, or a folder to look into."""
    if is_ignored(path):
        return None
    try:
        status = os.lstat(os.path.join(root, path))
    except OSError:
        return None
    kind = _kind(status.st_mode, path)
    return None if kind is None else Entry(identity_of(status), kind)


def is_folder(root: bytes, path: bytes) -> bool:
    """Whether it is a folder to look into."""
    if path and (is_ignored(path) or path.lower().endswith(_DOCUMENT_SUFFIX)):
        return False
    try:
        return stat.S_ISDIR(os.lstat(os.path.join(root, path)).st_mode)
    except OSError:
        return False


def is_passed_over(path: bytes) -> bool:
    """Whether a scan of everything does not come by: it looks into no folder with a document's name."""
    return _DOCUMENT_SUFFIX + b"/" in path.lower()


def is_network(path: bytes) -> bool:
    """Whether the file system there may change without this kernel's knowledge, so that inotify is blind."""
    kind = filesystem(path)
    return kind.split(".")[0] in _NETWORK


def filesystem(path: bytes) -> str:
    """The type of the file system a path is on, as the kernel calls it; empty when unknown."""
    try:
        device = os.stat(path).st_dev  # bytes
        mounts = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return ""
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    for line in mounts.splitlines():
        fields, _, rest = line.partition(b" - ")
        if fields.split()[2] == wanted:
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
