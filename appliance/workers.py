"""Queued documents -> chunks with vectors in the store, by a few threads that each read one document at a time.

Two threads are enough to keep every core embedding: while one waits for its parser to start or for the disk, the other's
batches go on. A large document holds up one of them alone. Their only state is in the store: whenever they are
stopped, the work goes on after the last committed batch.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from appliance.errors import NotReady, StoreError, UnknownDocument
from appliance.store import Store
from appliance.store.names import display
from appliance.store.rows import DocumentRow
from ingest.errors import IngestError, PermanentError, Stopped, Unreadable
from ingest.types import Batch, DocumentInfo, FileIdentity, Progress, RevisionKey, Sink, Vector

_log = logging.getLogger(__name__)
_STOP_SECONDS = 4.0
_RETRY_STORE_SECONDS = 5.0
THREADS = 2


class Reader(Protocol):
    """Reads one file into one revision; the composition root binds `ingest`'s parts to it."""

    def open(self, path: bytes, stop: threading.Event) -> "Reading":
        """Open a file, relative to the library, for reading; raises the errors of `ingest.errors`."""


class Reading(Protocol):
    """One opened file."""

    @property
    def identity(self) -> FileIdentity:
        """The file's, when it was opened."""

    @property
    def embedder(self) -> str:
        """Identity of the embedding model that it is read for."""

    @property
    def chunking(self) -> str:
        """What its chunks depend on besides the content; see `RevisionKey`."""

    def sha256(self) -> str:
        """Hash of its content."""

    def run(self, sink: Sink) -> None:
        """Extract, chunk, embed and commit, resuming after the sink's progress; the revision is complete on return."""

    def close(self) -> None:
        """End everything that was started for it."""


class Workers:
    """The reading threads; `start()`, then `stop()`. Every other method may be called from any thread."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        tell: Callable[[str], None],
        mend: Callable[[bytes], str],
        first: Callable[[], None],
    ) -> None:
        """`tell(id)` is called when a document changed, `mend(path)` gives the hint for a file that may not be read,
        and `first()` is called before a document is taken, again after an error of the store."""
        self._store = store
        self.reader = reader
        self._tell = tell
        self._mend = mend
        self._first = first
        self._changed = threading.Condition()
        self._work_waits = False  # guarded by _changed
        self._stopping = threading.Event()
        self._current: dict[str, threading.Event] = {}  # document id -> its stop event, guarded by _changed
        self._threads = [
            threading.Thread(target=self._run, name=f"docent-reader-{number}", daemon=True) for number in range(THREADS)
        ]

    def start(self) -> None:
        """Begin to work on the queue."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was queued."""
        with self._changed:
            self._work_waits = True
            self._changed.notify_all()

    def interrupt(self, document_id: str) -> None:
        """End the reading of this document, if it is being read."""
        with self._changed:
            if document_id in self._current:
                self._current[document_id].set()

    def interrupt_all(self) -> None:
        """Begin to stop: each thread ends after the batch at hand, its parser is ended."""
        self._stopping.set()
        with self._changed:
            for stop in self._current.values():
                stop.set()
            self._changed.notify_all()

    def stop(self) -> None:
        """`interrupt_all`, and wait for the end."""
        self.interrupt_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_STOP_SECONDS)
            if thread.is_alive():
                _log.warning("%s did not stop in %s s; its last batch will be done again", thread.name, _STOP_SECONDS)

    # Below: the reading threads.

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._first()
                self._read_next()
            except NotReady:
                return
            except StoreError as error:
                # a full disk, say: nothing is lost, and nothing else can be done than to try again later
                _log.error("%s; %s", error, error.hint)
                self._stopping.wait(_RETRY_STORE_SECONDS)
            except Exception:  # noqa: BLE001 - the top of a loop that must survive
                _log.exception("a reading thread failed")
                self._stopping.wait(_RETRY_STORE_SECONDS)

    def _read_next(self) -> None:
        taken = self._take()
        if taken is None:
            self._wait()
            return
        row, stop = taken
        try:
            self._read(row, stop)
        finally:
            with self._changed:
                del self._current[row.id]
            self.wake()  # the document may be queued again

    def _take(self) -> tuple[DocumentRow, threading.Event] | None:
        with self._changed:
            row = self._store.next_pending(exclude=self._current.keys())
            if row is None or self._stopping.is_set():
                self._work_waits = False
                return None
            stop = self._current[row.id] = threading.Event()
            return row, stop

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._work_waits or self._stopping.is_set())

    def _read(self, row: DocumentRow, stop: threading.Event) -> None:
        try:
            reading = self.reader.open(row.path, stop)
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
            key = RevisionKey(reading.sha256(), chunking=reading.chunking)
            if self._store.settle(row.id, key, reading.identity, ticket=row.ticket):
                return
            sink = self._store.open_revision(row.id, key, ticket=row.ticket, embedder=reading.embedder)
            self._tell(row.id)
            reading.run(_Watched(sink, lambda: self._tell(row.id)))
            done = self._store.get(row.id)
            _log.info("read %s: %d pages, %d passages", display(done.path), done.pages, done.chunks)
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
