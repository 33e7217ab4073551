"""One attempt to read one document: open, hash, copy what is known or read, and record how it ended.

What was committed stays committed, whatever happens; the next attempt resumes after it.
"""

import errno
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

from appliance.display.path_names import display_name
from appliance.errors import NotReady, StoreError, StoreRefused, UnknownDocument
from appliance.library.backoff import Cause, plan
from appliance.store import Store
from appliance.store.revision_sink import RevisionSink
from appliance.store.rows import DocumentRow, Trouble
from ingest.errors import IngestError, ParserKilled, PermanentError, ReadOtherwise, Stopped, Unreadable
from ingest.types import FileIdentity, RevisionKey, Sink

_log = logging.getLogger(__name__)


class DocumentReading(Protocol):
    """One opened file, read for one embedding model; `ingest.reader`."""

    @property
    def identity(self) -> FileIdentity:
        """The file's identity when it was opened."""

    @property
    def embedder_identity(self) -> str:
        """Which embedding model makes the vectors."""

    @property
    def chunking(self) -> str:
        """What the chunks depend on besides the content; see `RevisionKey`."""

    def sha256(self) -> str:
        """Hash of the content."""

    def read_into(self, sink: Sink) -> None:
        """Extract, chunk, embed and commit, resuming after the sink's progress; the revision is complete on return."""


OpenDocument = Callable[[bytes, threading.Event], AbstractContextManager[DocumentReading]]
"""Opens a file, by its path relative to the library, to be read until the event is set.

Leaving the context closes the file and releases the embedding model. Raises the errors of `ingest.errors`.
"""


class ReportChange(Protocol):
    """Called with the id of a document that has changed, and the last page whose text was recognised, committed or not."""

    def __call__(self, document: str, recognised: int = 0) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an attempt depends on; the clock gives Unix seconds, `chance` numbers from 0 to 1."""

    report: ReportChange
    permission_hint: Callable[[bytes], str]
    """What makes a file readable that the service may not read."""
    library_there: Callable[[], bool]
    """Whether the library is there, not an empty place where its disk should be."""
    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


class Attempt:
    """One attempt; `run` once. `claim(key)` returns whether no other document of this content is being read."""

    def __init__(
        self,
        store: Store,
        row: DocumentRow,
        stop: threading.Event,
        around: Surroundings,
        claim: Callable[[RevisionKey], bool],
    ) -> None:
        self._store = store
        self._row = row
        self._stop = stop
        self._around = around
        self._claim = claim
        self._key: RevisionKey | None = None
        self._sink: RevisionSink | None = None

    def run(self, open_document: OpenDocument) -> None:
        """Read the document; the store records how it ended.

        Raises:
            StoreError, NotReady: nothing could be recorded; the document stays in the queue.
        """
        try:
            try:
                self._read(open_document)
            except ReadOtherwise as error:
                _log.info("%s; reading starts from the beginning", error)
                self._store.queue.begin_anew(self._row.id)
                self._read(open_document)
        except (Stopped, UnknownDocument):
            _log.debug("reading %s was interrupted", display_name(self._row.path))
            self._uncount_attempt()
        except IngestError as error:
            if not self._stop.is_set():
                self._record_failure(error)
        except StoreRefused as error:
            with suppress(UnknownDocument):
                self._store.queue.begin_anew(self._row.id)
            self._record_unexpected(error)
        except (StoreError, NotReady):
            self._uncount_attempt()
            raise
        except Exception as error:  # noqa: BLE001 - one document must not hold up the others, whatever happens to it
            self._record_unexpected(error)
        self._around.report(self._row.id)

    def _read(self, open_document: OpenDocument) -> None:
        row = self._row
        with open_document(row.path, self._stop) as reading:
            key = self._key = RevisionKey(reading.sha256(), chunking=reading.chunking)
            if self._store.queue.settle(row.id, key, reading.identity, ticket=row.ticket) or not self._claim(key):
                return
            sink = self._store.queue.open_revision(row.id, key, ticket=row.ticket, embedder=reading.embedder_identity)
            sink.on_progress = lambda recognised: self._around.report(row.id, recognised)
            self._sink = sink
            self._around.report(row.id)
            if not self._copy_twin(sink):
                reading.read_into(sink)
        done = self._store.get(row.id)
        _log.info("read %s; pages: %d, passages: %d", display_name(done.path), done.pages, done.chunks)

    def _copy_twin(self, sink: RevisionSink) -> bool:
        """Copy from another document of the same content; returns whether that completed the revision."""
        while (last := sink.copy_some()) is not None:
            if last:
                sink.complete()
                return True
            if self._stop.is_set():
                raise Stopped(f"reading {display_name(self._row.path)}", "the service is stopping")
        return False

    def _uncount_attempt(self) -> None:
        """The document did not cause the end of this attempt; only a process that vanished counts against it."""
        if self._sink is not None and not self._sink.commits:
            with suppress(StoreError, NotReady):
                self._store.queue.take_back_attempt(self._row.id, self._row.ticket)

    def _record_unexpected(self, error: Exception) -> None:
        _log.exception("reading %s failed", display_name(self._row.path))
        why = f"{type(error).__name__}: {error}"
        hint = f"the service's log has the details; `docent documents retry {self._row.id}` retries at once"
        self._postpone(Cause.SUSPECT, Trouble("internal_error", why, hint))

    def _record_failure(self, error: IngestError) -> None:
        """Fail or postpone the document.

        Content that can never be read is remembered by its key, so a touch of the file costs only its hash.
        """
        if not self._around.library_there():
            _log.warning("%s; the library is not available, so the document waits", error)
            return
        cause = error.__cause__
        if isinstance(error, PermanentError) or (isinstance(cause, OSError) and cause.errno == errno.ELOOP):
            self._fail(error, self._key if isinstance(error, PermanentError) else None)
        elif isinstance(error, Unreadable) and isinstance(cause, PermissionError):
            self._postpone(Cause.DENIED, Trouble(error.code, error.why, self._around.permission_hint(self._row.path)))
        else:
            kind = Cause.SUSPECT if isinstance(error, ParserKilled) else Cause.MOMENT
            self._postpone(kind, Trouble(error.code, error.why, error.hint))

    def _fail(self, error: IngestError, key: RevisionKey | None) -> None:
        _log.warning("%s; %s", error, error.hint)
        try:
            self._store.queue.fail(self._row.id, error.code, error.why, error.hint, key=key, ticket=self._row.ticket)
        except UnknownDocument:
            _log.debug("%s was deleted meanwhile", display_name(self._row.path))

    def _postpone(self, cause: Cause, trouble: Trouble) -> None:
        """Set the time of the next attempt; failures count from the last one that was preceded by progress."""
        failures = 1 if self._sink and self._sink.commits else self._row.attempts + 1
        found = plan(cause, failures, self._around.chance())
        then = None if found.delay is None else self._around.clock() + found.delay
        again = "not retried automatically" if found.delay is None else f"retried in {found.delay:.0f} s"
        _log.warning("reading %s: %s; %s; %s", display_name(self._row.path), trouble.reason, trouble.hint, again)
        try:
            self._store.queue.postpone(
                self._row.id,
                trouble,
                attempts=failures,
                next_attempt=then,
                state=found.state,
                withdrawn=found.withdrawn,
                ticket=self._row.ticket,
            )
        except UnknownDocument:
            _log.debug("%s was deleted meanwhile", display_name(self._row.path))
