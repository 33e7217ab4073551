"""Between the folder and the store: what changed on disk becomes rows, queued rows become chunks with vectors.

The folder is the truth. Every report of a change, wherever it comes from, ends in `look(path)`, which asks the file
system what is there now and makes the store agree; so a report too many costs nothing, and one that is outdated does
no harm. One worker thread takes queued documents one after another. Its only state is in the store: whenever it is
stopped, it goes on after the last committed batch.

Threads: `look` and the worker share the store, which is thread-safe, and `_current`, guarded by `_lock`.
"""

import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import NotReady, StoreError, UnknownDocument
from appliance.library import Library
from appliance.shell import shell_quote
from appliance.store import Store
from appliance.store.names import display
from appliance.store.rows import DocumentRow
from ingest.errors import IngestError, PermanentError, Stopped, Unreadable
from ingest.identity import identity_of, same_content
from ingest.types import Batch, DocumentInfo, FileIdentity, Progress, RevisionKey, Sink, Vector
from ingest.watch import Changes

_log = logging.getLogger(__name__)
_STOP_SECONDS = 4.0
_RETRY_STORE_SECONDS = 5.0

Publish = Callable[[str, DocumentRow | None], None]
"""Called with a document's id and its new row, None once it is gone."""


class Reader(Protocol):
    """Reads one file into one revision; the composition root binds `ingest`'s parts to it."""

    def open(self, path: bytes, stop: threading.Event) -> "Reading":
        """Open a file, relative to the library, for reading; raises the errors of `ingest.errors`."""


class Watch(Protocol):
    """Reports changes of the folder; `ingest.watch`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def unsettled(self) -> int: ...


class Reading(Protocol):
    """One opened file."""

    @property
    def identity(self) -> FileIdentity:
        """The file's, when it was opened."""

    def sha256(self) -> str:
        """Hash of its content."""

    def run(self, sink: Sink) -> None:
        """Extract, chunk, embed and commit, resuming after the sink's progress; the revision is complete on return."""

    def close(self) -> None:
        """End everything that was started for it."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What the worker is on."""

    number: int
    stop: threading.Event


class Intake:
    """Keeps the store in step with the library folder; `start()`, then `stop()`."""

    def __init__(self, library: Library, store: Store, reader: Reader, publish: Publish, group: str) -> None:
        """`group` names the group whose members' files the service reads: for the hint on unreadable files."""
        self._library = library
        self._store = store
        self._reader = reader
        self._publish = publish
        self._group = group
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._current: _Work | None = None  # guarded by _lock
        self._owed: set[bytes] = set()  # paths to look at, guarded by _lock
        self._thread = threading.Thread(target=self._work, name="docent-intake", daemon=True)
        self._watch: Watch | None = None

    def watch(self, watch: Watch) -> None:
        """Take the reports of this watch, whose callback is `changed`; before `start`."""
        self._watch = watch

    def start(self) -> None:
        """Catch up with what happened while nobody looked, then begin to watch and to work."""
        self._catch_up()
        if self._watch:
            self._watch.start()
        self._thread.start()

    def interrupt(self) -> None:
        """Begin to stop: the worker ends after the batch at hand, a parser at work is ended."""
        self._stopping.set()
        with self._lock:
            if self._current:
                self._current.stop.set()
        self._wake.set()

    def stop(self) -> None:
        """`interrupt`, and wait for the end."""
        self.interrupt()
        if self._watch:
            self._watch.stop()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            _log.warning("the intake did not stop within %s s; its last batch will be done again", _STOP_SECONDS)

    def look(self, path: bytes) -> None:
        """Make the store agree with what is at `path` now, relative to the library."""
        with self._lock:
            try:
                found = os.lstat(self._library.absolute(path))
            except (FileNotFoundError, NotADirectoryError):
                self._gone(path)
                return
            except OSError as error:
                _log.warning("looking at %s: %s", display(path), error)
                return
            if stat.S_ISDIR(found.st_mode) and not path.lower().endswith(b".pdf"):
                self._gone(path)
                return
            self._there(path, identity_of(found))

    def unsettled(self) -> int:
        """Files that are seen but not yet settled."""
        return self._watch.unsettled() if self._watch else 0

    def changed(self, changes: Changes) -> None:
        """The watch's callback. Moves come first: what follows then finds their documents in place.

        What the store cannot take now, on a full disk say, is looked at again by the worker until it can.
        """
        with self._lock:
            self._owed.update(path for pair in changes.moved for path in pair)
            self._owed.update(settled.path for settled in changes.settled)
            self._owed.update(changes.deleted)
        try:
            for old, new in changes.moved:
                self.moved(old, new)
            self._look_at_owed()
        except StoreError as error:
            _log.error("%s; %s", error, error.hint)
            self._wake.set()

    def _look_at_owed(self) -> None:
        """Look at all that was reported; a path is done with only once the store has taken it."""
        while True:
            with self._lock:
                path = next(iter(self._owed), None)
                if path is None:
                    return
                self.look(path)
                self._owed.discard(path)

    def _catch_up(self) -> None:
        """Follow renames and deletions from before the start; new files are the watch's, once they have settled."""
        known = self._store.known_files()
        there = dict(self._library.walk())
        if known and not there and self._library.device() not in {file.identity.device for file in known.values()}:
            # an empty folder on another disk than the documents were on: theirs is not mounted
            _log.warning("the library's disk seems not to be mounted; no document is taken for deleted")
            return
        for path, identity in there.items():
            if path not in known and (source := self._moved_from(identity)) is not None:
                self._move(source.path, path)
        for path in known:
            self.look(path)

    def moved(self, old: bytes, new: bytes) -> None:
        """A file or folder was renamed."""
        with self._lock:
            for path in self._store.paths_under(old):
                target = new + path[len(old) :]
                self._move(path, target)
                self.look(target)
            self.look(old)
            self.look(new)

    def retry(self, document_id: str) -> None:
        """Queue a document again, whatever its state."""
        with self._lock:
            row = self._store.get(document_id)
            self._interrupt(row.number)
            self._store.requeue(document_id)
            self._tell(document_id)
        self._wake.set()

    def _there(self, path: bytes, identity: FileIdentity) -> None:
        known = self._store.by_path(path)
        if known is not None and known.identity == identity:
            return
        if known is None and (source := self._moved_from(identity)) is not None:
            self._move(source.path, path)
            known = self._store.by_path(path)
            if known is not None and known.state in ("indexed", "failed") and same_content(known.identity, identity):
                return
        if known is not None:
            self._interrupt(known.number)
        self._tell(self._store.queue_file(path, identity))
        self._wake.set()

    def _moved_from(self, identity: FileIdentity) -> DocumentRow | None:
        """The document that this file was, if it was renamed while nobody looked."""
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
            identity = row.identity  # another file has this name by now: look() will see that and queue it
        self._store.rename(row.id, new, identity)
        self._tell(row.id)

    def _gone(self, path: bytes) -> None:
        for known in self._store.paths_under(path):
            row = self._store.by_path(known)
            if row is not None and not os.path.lexists(self._library.absolute(known)):
                self._remove(row)

    def _remove(self, row: DocumentRow) -> None:
        self._interrupt(row.number)
        self._store.remove(row.id)
        self._publish(row.id, None)

    def _interrupt(self, number: int) -> None:
        if self._current and self._current.number == number:
            self._current.stop.set()

    def _tell(self, document_id: str) -> None:
        try:
            self._publish(document_id, self._store.get(document_id))
        except UnknownDocument:
            self._publish(document_id, None)

    # Below: the worker thread.

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._look_at_owed()
                row = self._take()
                if row is not None:
                    self._read(row)
                else:
                    self._wake.wait()
            except NotReady:
                return
            except StoreError as error:
                # a full disk, say: nothing is lost, and nothing else can be done than to try again later
                _log.error("%s; %s", error, error.hint)
                self._stopping.wait(_RETRY_STORE_SECONDS)
            except Exception:  # noqa: BLE001 -- the top of a loop that must survive
                _log.exception("the intake failed")
                self._stopping.wait(_RETRY_STORE_SECONDS)
            finally:
                with self._lock:
                    self._current = None

    def _take(self) -> DocumentRow | None:
        with self._lock:
            row = self._store.next_pending()
            self._current = _Work(row.number, threading.Event()) if row else None
            if self._current and self._stopping.is_set():
                self._current.stop.set()
            return row

    def _read(self, row: DocumentRow) -> None:
        assert self._current is not None
        stop = self._current.stop
        try:
            reading = self._reader.open(row.path, stop)
        except IngestError as error:
            self._failed(row, error)
        else:
            try:
                self._read_content(row, reading, stop)
            finally:
                reading.close()
        self._tell(row.id)

    def _read_content(self, row: DocumentRow, reading: Reading, stop: threading.Event) -> None:
        key: RevisionKey | None = None
        try:
            key = RevisionKey(reading.sha256())
            if self._store.settle(row.id, key, reading.identity, ticket=row.ticket):
                return
            sink = self._store.open_revision(row.id, key, ticket=row.ticket)
            self._tell(row.id)
            reading.run(_Watched(sink, lambda: self._tell(row.id)))
        except (Stopped, UnknownDocument):
            _log.debug("reading %s was interrupted", display(row.path))
        except IngestError as error:
            if not stop.is_set():
                self._failed(row, error, key if isinstance(error, PermanentError) else None)
        except (StoreError, NotReady):
            raise
        except Exception as error:  # noqa: BLE001 - one document must not hold up the others, whatever happens to it
            _log.exception("reading %s failed", display(row.path))
            why = f"{type(error).__name__}: {error}"
            hint = f"the service's log has the details; `docent documents retry {row.id}` tries again"
            self._store.fail(row.id, "internal_error", why, hint, ticket=row.ticket)

    def _failed(self, row: DocumentRow, error: IngestError, key: RevisionKey | None = None) -> None:
        """Note why; content that will never be readable is remembered by its key, so that a touch costs only its hash."""
        denied = isinstance(error, Unreadable) and isinstance(error.__cause__, PermissionError)
        hint = self._mend(row.path) if denied else error.hint
        _log.warning("%s; %s", error, hint)
        try:
            self._store.fail(row.id, error.code, error.why, hint, key=key, ticket=row.ticket)
        except UnknownDocument:
            _log.debug("%s was deleted meanwhile", display(row.path))

    def _mend(self, path: bytes) -> str:
        """The exact command that makes a file readable for the service."""
        name = shell_quote(self._library.absolute(path))
        if not self._group:
            return f"make it readable: chmod u+r {name}"
        return f"make it readable for the service: sudo chgrp {self._group} {name} && sudo chmod g+r {name}"


class _Watched:
    """A sink that tells of its progress."""

    def __init__(self, sink: Sink, tell: Callable[[], None]) -> None:
        self._sink = sink
        self._tell = tell

    def progress(self) -> Progress:
        return self._sink.progress()

    def known_vectors(self, texts: Iterable[str]) -> dict[str, Vector]:
        return self._sink.known_vectors(texts)

    def begin(self, info: DocumentInfo) -> None:
        self._sink.begin(info)
        self._tell()

    def commit(self, batch: Batch) -> None:
        self._sink.commit(batch)
        self._tell()

    def complete(self) -> None:
        self._sink.complete()
