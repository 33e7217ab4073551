"""Keeps the store in step with the library folder: queues new contents, follows renames and deletions.

The folder is the truth. Every report of a change, wherever it comes from, ends in `look(path)`, which asks the file
system what is there now and makes the store agree. So a superfluous report costs nothing, and an outdated one does no
harm. The workers (`workers`) then read the queued documents.

Threads: everything may be called from any thread; `_lock` makes the effects of one report atomic. Many reports at once
are taken in slices: the new contents of a slice are queued in one transaction; each rename and each deletion has its
own.
"""

import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Protocol

from appliance.display.path_names import display_name, shell_quote
from appliance.errors import LibraryAway, StoreError, UnknownDocument
from appliance.library.attempt import OpenDocument, Surroundings
from appliance.library.folder import Library
from appliance.library.presence import Presence
from appliance.library.workers import Workers
from appliance.store import Store
from appliance.store.rows import DocumentRow, KnownFile
from ingest.types import FileIdentity, identity_of, same_content
from ingest.watching.watcher import Changes

_log = logging.getLogger(__name__)
_SLICE = 256  # paths checked while other reports wait; their new contents are queued in one transaction

LOOK_AGAIN_SECONDS = 20.0
"""How soon a path whose status could not be read, because of a disk error say, is checked again. Chosen by eye."""

Publish = Callable[[str, DocumentRow | None], None]
"""Called with a document's id and its new row, None once it is deleted."""


class FolderWatch(Protocol):
    """Reports changes in the folder; `ingest.watching.watcher`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def unsettled(self) -> int: ...


class Intake:
    """Keeps the store in step with the library folder; `start()`, then `stop()`."""

    def __init__(
        self,
        library: Library,
        store: Store,
        open_document: OpenDocument,
        publish: Publish,
        group: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`group` is the group whose files the service may read, for the hint on unreadable files; the clock gives Unix
        seconds."""
        self._library = library
        self._store = store
        self._publish = publish
        self._group = group
        self._lock = threading.RLock()
        self._owed: dict[bytes, None] = {}  # paths to check, in the order of their reports; guarded by _lock
        self._unseen: dict[
            bytes, float
        ] = {}  # paths whose status could not be read, and when to retry; guarded by _lock
        self._clock = clock
        self._presence = Presence(library, store.known_files)
        self._followed = 0  # returns of the library after which all of it was checked; guarded by _lock
        self._watch: FolderWatch | None = None
        self._stopping = threading.Event()
        around = Surroundings(self._report, self._permission_hint, self.there, clock)
        self.workers = Workers(store, open_document, around, first=self._look_at_owed)

    def watch(self, watch: FolderWatch) -> None:
        """Use this watch, whose callback is `changed`; call before `start`."""
        self._watch = watch

    def start(self) -> None:
        """Catch up with changes made while the service was stopped, then start watching and reading."""
        self._catch_up()
        if self._watch:
            self._watch.start()
        self.workers.start()

    def stop(self) -> None:
        """Stop watching, then reading. Reports that were not yet followed are found again at the next start."""
        self._stopping.set()
        self.workers.interrupt_all()
        if self._watch:
            self._watch.stop()
        self.workers.stop()

    def look(self, path: bytes) -> None:
        """Make the store agree with what is now at `path`, relative to the library."""
        with self._lock:
            self._queue(self._look(path))

    def unsettled(self) -> int:
        """Number of files that were seen but are not yet settled."""
        return self._watch.unsettled() if self._watch else 0

    def there(self) -> bool:
        """Whether the library's folder is there, not an empty mount point."""
        there = self._presence.there()
        if there and self._presence.returns != self._followed:
            self.workers.wake()  # a lane then follows what changed while it was not available
        return there

    def require_there(self, what: str) -> None:
        """Raise `LibraryAway` while the library is not available; `what` names the attempted operation."""
        if not self.there():
            why = "the library is not available: its disk is not mounted, or another one is"
            shown = display_name(self._library.root)
            raise LibraryAway(what, why, f"mount its disk at {shown}, then try again; see `docent doctor`")

    def accept_library(self) -> int:
        """Make the folder that is there now the library; returns the number of documents missing from it.

        Those are deleted from now on.

        Raises:
            LibraryAway: there is no folder.
        """
        if not self._presence.accept():
            shown = display_name(self._library.root)
            raise LibraryAway(
                "accepting the library", f"there is no folder at {shown}", "mount its disk there, then try again"
            )
        known = self._store.known_files()
        self._owe_changes(known, dict(self._library.walk()))
        self.workers.wake()
        return sum(not self._exists(path) for path in known)

    def seen_there(self) -> bool:
        """The last result of `there`, at most some seconds old; does not touch the disk."""
        return self._presence.last

    def changed(self, changes: Changes) -> None:
        """The watch's callback. Follows moves first, so that the other changes find their documents in place.

        What the store cannot record now, on a full disk say, the workers retry until it can.
        """
        with self._lock:
            # A worker may check these before the moves below are followed. New names must come first, or their
            # documents would look deleted.
            for path in (
                *(new for _, new in changes.moved),
                *(settled.path for settled in changes.settled),
                *(old for old, _ in changes.moved),
                *changes.deleted,
            ):
                self._owed[path] = None
        try:
            for old, new in changes.moved:
                self.moved(old, new)
            self._look_at_owed()
        except StoreError as error:
            _log.error("%s; %s", error, error.hint)
            self.workers.wake()

    def _look_at_owed(self) -> None:
        """Check every path that was reported; a path stays owed until the store has recorded the result."""
        self._owe_missed()
        self._owe_unseen()
        while not self._stopping.is_set():
            with self._lock:
                some = list(islice(self._owed, _SLICE))
                if not some:
                    return
                self._queue([file for path in some for file in self._look(path)])
                for path in some:
                    del self._owed[path]

    def _owe_unseen(self) -> None:
        """Owe paths whose retry is due. A time far ahead comes from a clock that was since set back."""
        with self._lock:
            now = self._clock()
            due = [path for path, then in self._unseen.items() if not now < then <= now + LOOK_AGAIN_SECONDS]
            self._owed.update(dict.fromkeys(due))

    def _owe_missed(self) -> None:
        """Owe what changed while the library was not available, once it is back.

        No watch saw those changes, and none may remember what was there before.
        """
        with self._lock:
            returns = self._presence.returns
            if returns != self._followed and self._presence.there():
                self._owe_changes(self._store.known_files(), dict(self._library.walk()))
                self._followed = returns

    def _look_later(self, path: bytes, why: object) -> None:
        """Schedule another check of this path: its report will not come a second time."""
        if path not in self._unseen:
            _log.warning("checking %s: %s; retried in %.0f s", display_name(path), why, LOOK_AGAIN_SECONDS)
        self._unseen[path] = self._clock() + LOOK_AGAIN_SECONDS

    def _look(self, path: bytes) -> list[tuple[bytes, FileIdentity]]:
        """Make the store agree with what is at `path`, except for new content, which is returned to be queued."""
        try:
            found = os.lstat(self._library.absolute(path))
        except (FileNotFoundError, NotADirectoryError):
            self._gone(path)
            return []
        except OSError as error:
            self._look_later(path, error.strerror)
            return []
        self._unseen.pop(path, None)
        if _is_plain_folder(path, found):
            self._gone(path)
            return []
        return self._there(path, identity_of(found))

    def _queue(self, files: list[tuple[bytes, FileIdentity]]) -> None:
        """Queue new contents, in one transaction."""
        if not files:
            return
        for document in self._store.queue.add_files(files):
            self._read_anew(document)
        self.workers.wake()

    def _read_anew(self, document_id: str) -> None:
        """Publish a document that was just queued, and interrupt a reading of it that began before."""
        row = self._store.get(document_id)
        self.workers.interrupt(document_id, newest=row.ticket)
        self._publish(document_id, row)

    def _catch_up(self) -> None:
        """Follow renames and deletions from before the start; the watch reports new files once they have settled.

        What the store cannot record now, on a full disk say, the workers retry; questions are answered meanwhile.
        """
        known = self._store.known_files()
        if not self._presence.begin({path: file.identity.device for path, file in known.items()}):
            _log.warning(
                "the library %s is not available: its disk is not mounted, or another one is. Nothing new is read;"
                " documents already indexed still answer.",
                display_name(self._library.root),
            )
            return
        self._owe_changes(known, dict(self._library.walk()))
        try:
            self._look_at_owed()
        except StoreError as error:
            _log.error("%s; %s", error, error.hint)

    def _owe_changes(self, known: dict[bytes, KnownFile], there: dict[bytes, FileIdentity]) -> None:
        """Owe the renames, deletions and changes that lead from the known files to those on disk."""
        moved = [path for path, found in there.items() if path not in known and self._moved_from(found) is not None]
        changed = [path for path, file in known.items() if file.identity != there.get(path)]
        with self._lock:
            self._owed = dict.fromkeys([*moved, *self._owed, *changed])  # new names first, as in `changed`

    def moved(self, old: bytes, new: bytes) -> None:
        """A file or folder was renamed."""
        with self._lock:
            for path in self._store.paths_under(old):
                if self._stopping.is_set():
                    return  # the next start finds the others by their inodes
                target = new + path[len(old) :]
                self._move(path, target)
                self.look(target)
            self.look(old)
            self.look(new)

    def retry(self, document_id: str) -> None:
        """Queue a document again, whatever its state."""
        with self._lock:
            self._store.queue.requeue(document_id)
            self._read_anew(document_id)
        self.workers.wake()

    def queued(self, documents: list[str]) -> None:
        """Publish documents that the store has queued to be read again, and wake the workers."""
        for document_id in documents:
            self._report(document_id)
        self.workers.wake()

    def _there(self, path: bytes, identity: FileIdentity) -> list[tuple[bytes, FileIdentity]]:
        known = self._store.by_path(path)
        if known is not None and known.identity == identity:
            return []
        if known is None and (source := self._moved_from(identity)) is not None:
            self._move(source.path, path)
            known = self._store.by_path(path)
            if known is not None and known.state in ("indexed", "failed") and same_content(known.identity, identity):
                return []
        return [(path, identity)]

    def _moved_from(self, identity: FileIdentity) -> DocumentRow | None:
        """The document whose file was renamed, unobserved, to this one."""
        for row in self._store.by_inode(identity.device, identity.inode):
            if same_content(row.identity, identity) and not os.path.lexists(self._library.absolute(row.path)):
                return row
        return None

    def _move(self, old: bytes, new: bytes) -> None:
        row = self._store.by_path(old)
        if row is None or os.path.lexists(self._library.absolute(old)):
            return
        try:
            identity = identity_of(os.lstat(self._library.absolute(new)))
        except OSError:
            return
        if (overwritten := self._store.by_path(new)) is not None:
            self._remove(overwritten)
        if not same_content(row.identity, identity):
            identity = row.identity  # another file has taken the name meanwhile: look() will see that and queue it
        self._store.rename(row.id, new, identity)
        if row.state != "indexed":
            # a worker may have opened it under its old name, or be about to: the result is outdated
            self._queue([(new, identity)])
        self._report(row.id)

    def _gone(self, path: bytes) -> None:
        if not self.there():
            self._look_later(path, "the library is not available")
            return
        self._unseen.pop(path, None)
        for known in self._store.paths_under(path):
            row = self._store.by_path(known)
            if row is not None and not self._exists(known):
                self._remove(row)

    def _exists(self, path: bytes) -> bool:
        """Whether something that may be a document has this name; true if its status cannot be read."""
        try:
            return not _is_plain_folder(path, os.lstat(self._library.absolute(path)))
        except OSError as error:
            return not isinstance(error, FileNotFoundError | NotADirectoryError)

    def _remove(self, row: DocumentRow) -> None:
        self.workers.interrupt(row.id)
        self._store.remove(row.id)
        self._publish(row.id, None)

    def _report(self, document: str, recognised: int = 0) -> None:
        try:
            row = self._store.get(document)
        except UnknownDocument:
            self._publish(document, None)
        else:
            self._publish(document, replace(row, pages_recognised=max(row.pages_done, recognised)))

    def _permission_hint(self, path: bytes) -> str:
        """The exact command that makes a file readable for the service."""
        name = shell_quote(self._library.absolute(path))
        if not self._group:
            return f"make it readable: chmod u+r {name}"
        return f"make it readable for the service: sudo chgrp {self._group} {name} && sudo chmod g+r {name}"


def _is_plain_folder(path: bytes, found: os.stat_result) -> bool:
    """Whether it is a folder to search; one named like a PDF becomes a failed document, which says so."""
    return stat.S_ISDIR(found.st_mode) and not path.lower().endswith(b".pdf")
