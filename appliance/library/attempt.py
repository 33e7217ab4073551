"""One attempt to read one document: open, hash, copy what is known or read, and note how it ended.

What was committed stays committed, whatever happens; the next attempt goes on after it.
"""

import errno
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from appliance.display.path_names import display_name
from appliance.errors import NotReady, StoreError, StoreRefused, UnknownDocument
from appliance.library.backoff import Cause, plan
from appliance.store import Store
from appliance.store.revision_sink import RevisionSink
from appliance.store.rows import DocumentRow, Trouble
from ingest.errors import IngestError, ParserKilled, PermanentError, ReadOtherwise, Stopped, Unreadable
from ingest.types import Batch, DocumentInfo, FileIdentity, Page, Progress, RevisionKey, Sink, Vector

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """Reads one file into one revision; the composition root binds `ingest`'s parts to it."""

    def open(self, path: bytes, stop: threading.Event) -> "DocumentReading":
        """Open a file, relative to the library, for reading; raises the errors of `ingest.errors`."""


class DocumentReading(Protocol):
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


class Tell(Protocol):
    """Called with a document's id when it changed; the text of its pages up to `recognised` was, committed or not."""

    def __call__(self, document: str, recognised: int = 0) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an attempt needs to know of the world; the clock gives Unix seconds, `chance` numbers from 0 to 1."""

    tell: Tell
    mend: Callable[[bytes], str]
    """The hint for a file that may not be read."""
    there: Callable[[], bool]
    """Whether the library is there, not an empty place where its disk should be."""
    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


class Attempt:
    """One document's; `run` once. `claim(key)` says whether nobody else is reading this content."""

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
        self._sink: _Watched | None = None

    def run(self, reader: Reader) -> None:
        """Read the document; how it ended is in the store.

        Raises:
            StoreError, NotReady: nothing could be noted; the document stays in the queue.
        """
        try:
            try:
                self._read(reader)
            except ReadOtherwise as error:
                _log.info("%s; it is begun anew", error)
                self._store.begin_anew(self._row.id)
                self._read(reader)
        except (Stopped, UnknownDocument):
            _log.debug("reading %s was interrupted", display_name(self._row.path))
            self._take_back()
        except IngestError as error:
            if not self._stop.is_set():
                self._failed(error)
        except StoreRefused as error:
            with suppress(UnknownDocument):
                self._store.begin_anew(self._row.id)
            self._unforeseen(error)
        except (StoreError, NotReady):
            self._take_back()
            raise
        except Exception as error:  # noqa: BLE001 - one document must not hold up the others, whatever happens to it
            self._unforeseen(error)
        self._around.tell(self._row.id)

    def _read(self, reader: Reader) -> None:
        row = self._row
        reading = reader.open(row.path, self._stop)
        try:
            key = self._key = RevisionKey(reading.sha256(), chunking=reading.chunking)
            if self._store.settle(row.id, key, reading.identity, ticket=row.ticket) or not self._claim(key):
                return
            sink = self._store.open_revision(row.id, key, ticket=row.ticket, embedder=reading.embedder)
            self._sink = _Watched(sink, lambda recognised: self._around.tell(row.id, recognised))
            self._around.tell(row.id)
            if not self._copied(self._sink):
                reading.run(self._sink)
        finally:
            reading.close()
        done = self._store.get(row.id)
        _log.info("read %s: %d pages, %d passages", display_name(done.path), done.pages, done.chunks)

    def _unforeseen(self, error: Exception) -> None:
        _log.exception("reading %s failed", display_name(self._row.path))
        why = f"{type(error).__name__}: {error}"
        hint = f"the service's log has the details; `docent documents retry {self._row.id}` tries again at once"
        self._postpone(Cause.SUSPECT, Trouble("internal_error", why, hint))

    def _take_back(self) -> None:
        """What ended the attempt had nothing to do with the document; only a process that vanished counts against it."""
        if self._sink is not None and not self._sink.commits:
            with suppress(StoreError, NotReady):
                self._store.take_back_attempt(self._row.id, self._row.ticket)

    def _copied(self, sink: "_Watched") -> bool:
        """Whether another document of the same content gave all there is."""
        while (last := sink.copy_some()) is not None:
            if last:
                sink.complete()
                return True
            if self._stop.is_set():
                raise Stopped(f"reading {display_name(self._row.path)}", "the service is stopping")
        return False

    def _failed(self, error: IngestError) -> None:
        """Note why. Content that will never be readable is remembered, so that a touch of the file costs only its hash."""
        if not self._around.there():
            _log.warning("%s; the library is not there: it waits", error)
            return
        cause = error.__cause__
        if isinstance(error, PermanentError) or (isinstance(cause, OSError) and cause.errno == errno.ELOOP):
            self._failed_for_good(error, self._key if isinstance(error, PermanentError) else None)
        elif isinstance(error, Unreadable) and isinstance(cause, PermissionError):
            self._postpone(Cause.DENIED, Trouble(error.code, error.why, self._around.mend(self._row.path)))
        else:
            kind = Cause.SUSPECT if isinstance(error, ParserKilled) else Cause.MOMENT
            self._postpone(kind, Trouble(error.code, error.why, error.hint))

    def _failed_for_good(self, error: IngestError, key: RevisionKey | None) -> None:
        _log.warning("%s; %s", error, error.hint)
        try:
            self._store.fail(self._row.id, error.code, error.why, error.hint, key=key, ticket=self._row.ticket)
        except UnknownDocument:
            _log.debug("%s was deleted meanwhile", display_name(self._row.path))

    def _postpone(self, cause: Cause, trouble: Trouble) -> None:
        """Let it wait; failures count from the last one that was preceded by progress."""
        failures = 1 if self._sink and self._sink.commits else self._row.attempts + 1
        found = plan(cause, failures, self._around.chance())
        then = None if found.delay is None else self._around.clock() + found.delay
        again = "not tried again by itself" if found.delay is None else f"tried again in {found.delay:.0f} s"
        _log.warning("reading %s: %s; %s; %s", display_name(self._row.path), trouble.reason, trouble.hint, again)
        try:
            self._store.postpone(
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


class _Watched:
    """A sink that tells of its progress."""

    def __init__(self, sink: RevisionSink, tell: Callable[[int], None]) -> None:
        self._sink = sink
        self._tell = tell
        self._recognised = 0
        self.commits = 0

    def progress(self) -> Progress:
        return self._sink.progress()

    def holds(self, page: Page) -> bool:
        return self._sink.holds(page)

    def known_vectors(self, texts: Iterable[str]) -> dict[str, Vector]:
        return self._sink.known_vectors(texts)

    def begin(self, info: DocumentInfo) -> None:
        self._sink.begin(info)

    def announce(self, recognised: int) -> None:
        more, self._recognised = recognised > self._recognised, recognised
        if self._sink.announce(recognised) or more:
            self._tell(recognised)

    def commit(self, batch: Batch) -> None:
        self._sink.commit(batch)
        self.commits += 1
        self._tell(self._recognised)

    def copy_some(self) -> bool | None:
        last = self._sink.copy_some()
        self.commits += last is not None
        self._tell(self._recognised)
        return last

    def complete(self) -> None:
        self._sink.complete()
