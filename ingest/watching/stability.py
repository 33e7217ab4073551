"""Decides which paths have settled, moved or been deleted. Pure: the caller passes in what it sees and the time.

A file has settled when nothing about it (size, mtime, ctime, inode) was seen to change and no event touched it for the
quiet period, even if it was there before the first scan. A settled path that disappears waits a moment in case it
reappears under another name: then it moved. Otherwise it is deleted.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ingest.types import FileIdentity

MISSING_SECONDS = 0.5
"""How long a path that has disappeared may reappear elsewhere. Chosen by eye."""

ContentKey = tuple[int, int, int, int]
"""Device, inode, size and mtime."""


class EntryKind(Enum):
    """What is at a path. Only FILE is ever opened."""

    FILE = "file"
    LINK = "link"
    FOLDER = "folder"
    """A folder with a document's name, such as "x.pdf"."""
    SPECIAL = "special"
    """A fifo, socket or device."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was found at a path."""

    identity: FileIdentity
    kind: EntryKind = EntryKind.FILE

    @property
    def content(self) -> ContentKey:
        """The part of the identity that a rename keeps; it changes ctime."""
        identity = self.identity
        return identity.device, identity.inode, identity.size, identity.mtime_ns


@dataclass(frozen=True, slots=True)
class Settled:
    """A path that is new or has changed, and is quiet now."""

    path: bytes
    identity: FileIdentity
    kind: EntryKind


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened since the last report. Apply `moved` first."""

    settled: list[Settled] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)
    moved: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.settled or self.deleted or self.moved)


class Stability:
    """Tracks what is seen at each path. Not thread-safe: only touched by the watcher's thread.

    >>> stability = Stability(settle_s=2.0)
    >>> stability.observe(b"a.pdf", Entry(FileIdentity(1, 2, 3, 4, 5)), now=0.0)
    >>> bool(stability.changes(now=1.0))
    False
    >>> [found.path for found in stability.changes(now=2.0).settled]
    [b'a.pdf']
    """

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._settled: dict[bytes, Entry] = {}
        self._pending: dict[bytes, tuple[Entry, float]] = {}
        self._missing: dict[bytes, tuple[Entry, float]] = {}

    @property
    def pending(self) -> int:
        """Number of paths that have been seen but have not settled."""
        return len(self._pending)

    @property
    def waiting(self) -> bool:
        """Whether the passing of time alone will bring a change."""
        return bool(self._pending or self._missing)

    def observe(self, path: bytes, entry: Entry | None, now: float) -> None:
        """Record what is at `path` now; None for nothing."""
        if entry is None:
            self._pending.pop(path, None)
            if (gone := self._settled.pop(path, None)) is not None:
                self._missing[path] = (gone, now)
            return
        if (back := self._missing.pop(path, None)) is not None:
            self._settled[path] = back[0]
        if self._settled.get(path) == entry:
            self._pending.pop(path, None)
        elif path not in self._pending or self._pending[path][0] != entry:
            self._pending[path] = (entry, now)

    def observe_all(self, entries: Mapping[bytes, Entry], now: float, unseen: Callable[[bytes], bool]) -> None:
        """Record a full scan: whatever is not in `entries` is gone.

        Except where `unseen(path)` is true: its folder could not be read, so nothing is known about it.
        """
        for path in [*self._settled, *self._pending]:
            if path not in entries and not unseen(path):
                self.observe(path, None, now)
        for path, entry in entries.items():
            self.observe(path, entry, now)

    def under(self, folders: Collection[bytes]) -> list[bytes]:
        """The known paths inside any of these folders, in one pass over all known paths."""
        if not folders:
            return []
        return [
            path for path in {**self._settled, **self._pending} if any(parent in folders for parent in _parents(path))
        ]

    def is_file(self, path: bytes) -> bool:
        """Whether this is, or was until a moment ago, a known path that cannot contain other paths."""
        found = self._settled.get(path) or (self._pending.get(path) or self._missing.get(path) or (None,))[0]
        return found is not None and found.kind is not EntryKind.FOLDER

    def touched(self, path: bytes, now: float) -> None:
        """Restart the quiet period of a path, because an event touched it."""
        if path in self._pending:
            self._pending[path] = (self._pending[path][0], now)

    def due(self, now: float) -> list[bytes]:
        """Paths whose quiet period is over; look at them once more before `changes`."""
        return [path for path, (_, since) in self._pending.items() if now - since >= self._settle_s]

    def changes(self, now: float) -> Changes:
        """What is certain by now; each change is reported once."""
        changes = Changes()
        self._find_moved(changes)
        for path, (_, since) in list(self._missing.items()):
            if now - since >= MISSING_SECONDS:
                del self._missing[path]
                changes.deleted.append(path)
        for path in self.due(now):
            entry, _ = self._pending.pop(path)
            self._settled[path] = entry
            changes.settled.append(Settled(path, entry.identity, entry.kind))
        return changes

    def forget(self, changes: Changes) -> None:
        """Undo a report that could not be delivered: its paths are reported again after another quiet period."""
        for settled in changes.settled:
            self._settled.pop(settled.path, None)
        for _, new in changes.moved:
            self._settled.pop(new, None)

    def _find_moved(self, changes: Changes) -> None:
        found = {entry.content: path for path, (entry, _) in self._pending.items() if path not in self._settled}
        for old, (gone, _) in list(self._missing.items()):
            new = found.pop(gone.content, None)
            if new is not None:
                del self._missing[old]
                self._settled[new] = self._pending.pop(new)[0]
                changes.moved.append((old, new))


def _parents(path: bytes) -> Iterator[bytes]:
    """The folders that a path is in, innermost first."""
    end = path.rfind(b"/")
    while end > 0:
        yield path[:end]
        end = path.rfind(b"/", 0, end)
