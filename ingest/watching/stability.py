"""Which paths have settled, moved or gone: pure, told what is seen and what time it is.

A file counts as settled when nothing was seen to change about it (size, mtime, ctime, inode) and no event touched it
for the quiet period, also when it was there before the first look. A settled path that is gone waits for a moment in
case it turns up under another name: then it moved. Everything else is deleted.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ingest.types import FileIdentity

MISSING_SECONDS = 0.5
"""How long a path that is gone may turn up elsewhere."""

ContentKey = tuple[int, int, int, int]


class EntryKind(Enum):
    """What stands at a path. Only FILE is ever opened."""

    FILE = "file"
    LINK = "link"
    FOLDER = "folder"
    """A folder with a document's name, such as "x.pdf"."""
    SPECIAL = "special"
    """A fifo, socket or device."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one look at a path found."""

    identity: FileIdentity
    kind: EntryKind = EntryKind.FILE

    @property
    def content(self) -> ContentKey:
        """What a rename leaves as it was; it changes ctime."""
        identity = self.identity
        return identity.device, identity.inode, identity.size, identity.mtime_ns


@dataclass(frozen=True, slots=True)
class Settled:
    """A path that is new or other than before, and quiet."""

    path: bytes
    identity: FileIdentity
    kind: EntryKind


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened since the last time; apply `moved` first."""

    settled: list[Settled] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)
    moved: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.settled or self.deleted or self.moved)


class Stability:
    """The state behind it. Not thread-safe: touched by the watcher's thread alone."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._settled: dict[bytes, Entry] = {}
        self._pending: dict[bytes, tuple[Entry, float]] = {}
        self._missing: dict[bytes, tuple[Entry, float]] = {}

    @property
    def pending(self) -> int:
        """Paths that are seen but not settled."""
        return len(self._pending)

    @property
    def waiting(self) -> bool:
        """Whether time alone will bring a change."""
        return bool(self._pending or self._missing)

    def observe(self, path: bytes, entry: Entry | None, now: float) -> None:
        """What is at `path` now; None for nothing."""
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
        """All there is; `unseen` tells of a path that nothing can be said about because its folder was unreadable."""
        for path in [*self._settled, *self._pending]:
            if path not in entries and not unseen(path):
                self.observe(path, None, now)
        for path, entry in entries.items():
            self.observe(path, entry, now)

    def under(self, folders: Collection[bytes]) -> list[bytes]:
        """The paths known inside any of these folders: one look at all that are known."""
        if not folders:
            return []
        return [path for path in {**self._settled, **self._pending} if any(up in folders for up in _above(path))]

    def is_file(self, path: bytes) -> bool:
        """Whether this is known, or was until a moment ago, as something that holds no other paths."""
        found = self._settled.get(path) or (self._pending.get(path) or self._missing.get(path) or (None,))[0]
        return found is not None and found.kind is not EntryKind.FOLDER

    def touched(self, path: bytes, now: float) -> None:
        """Something happened to a path: its quiet period begins anew."""
        if path in self._pending:
            self._pending[path] = (self._pending[path][0], now)

    def due(self, now: float) -> list[bytes]:
        """Paths whose quiet period is over, to be looked at once more before `changes`."""
        return [path for path, (_, since) in self._pending.items() if now - since >= self._settle_s]

    def changes(self, now: float) -> Changes:
        """What is certain by now, each thing told once."""
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
        """Nobody could take these: settled paths are told again after another quiet period."""
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


def _above(path: bytes) -> Iterator[bytes]:
    """The folders that a path lies in, the innermost first."""
    end = path.rfind(b"/")
    while end > 0:
        yield path[:end]
        end = path.rfind(b"/", 0, end)
