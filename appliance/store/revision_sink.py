"""Receives what the ingest pipeline reads: implements the `Sink` protocol for one revision of one document.

Rule: a sink writes only while its revision is the building one. If the document was deleted or given other content, the
next write raises `UnknownDocument`, and the work must be abandoned without a trace. If another embedding model has
taken over, it raises `Stopped`: the document must be read again with that model.
"""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import apsw

from appliance.store.database.database import Database
from appliance.store.indexes import document_names
from appliance.store.indexes.vectors import VectorIndex, text_hash
from appliance.store.tables import documents, embedders, queue, revisions, twin_copies
from ingest.errors import Stopped
from ingest.types import Batch, DocumentInfo, Page, Progress, Vector

T = TypeVar("T")
_COPIED_AT_ONCE = 256


class WriteNamed(Protocol):
    """Runs a transaction that may need vectors of names; see `Store`."""

    def __call__(self, job: Callable[[apsw.Connection, document_names.KnownNames], T]) -> T: ...


def prepare_switch(
    database: Database, document: int, begin: Callable[[apsw.Connection], None] = lambda _: None
) -> None:
    """Add a large building revision to the full-text index before its switch, in steps. Each step runs `begin`."""
    with database.read() as connection:
        revision = revisions.large_behind(connection, document)
    first = 0 if revision is not None else None

    def job(connection: apsw.Connection) -> int | None:
        assert revision is not None
        assert first is not None
        begin(connection)
        return revisions.prepare_some(connection, revision, first)

    while first is not None:
        first = database.write(job)


class RevisionSink:
    """One building revision. May be used from any thread, by one at a time.

    `begin` writes nothing itself; its values go into the next transaction. That saves one for each small document.
    """

    def __init__(
        self,
        database: Database,
        write_named: WriteNamed,
        embedder: int,
        document: int,
        revision: int,
        ticket: int | None,
    ) -> None:
        """`embedder` is the number of the model that makes the vectors."""
        self._database = database
        self._write_named = write_named
        self._embedder = embedder
        self._document = document
        self._revision = revision
        self._ticket = ticket
        self._info: DocumentInfo | None = None  # not yet written
        self._recognised = 0
        self.commits = 0
        """Transactions that added chunks to the revision through this sink."""
        self.on_progress: Callable[[int], None] = lambda recognised: None
        """Called by the thread that uses the sink, after `commit` and `copy_some` and when `announce` has news, with the
        last page whose text was recognised."""

    def progress(self) -> Progress:
        """What is committed of this revision."""
        with self._database.read() as connection:
            return revisions.progress(connection, self._revision)

    def holds(self, page: Page) -> bool:
        """Whether this page is committed with the same text from the same source."""
        with self._database.read() as connection:
            return revisions.holds(connection, self._revision, page)

    def known_vectors(self, texts: Iterable[str]) -> dict[str, Vector]:
        """The vectors that the store already holds for these embedded texts."""
        keys = {text: text_hash(text) for text in texts}
        with self._database.read() as connection:
            known = self._index(connection).known(connection, set(keys.values()))
        return {text: known[key] for text, key in keys.items() if key in known}

    def begin(self, info: DocumentInfo) -> None:
        """Record the number of pages and the metadata, with the first batch or by `announce`."""
        self._info = info

    def commit(self, batch: Batch) -> None:
        """Write a batch and the progress in one transaction. The batch is durable on return."""

        def job(connection: apsw.Connection, known_names: document_names.KnownNames) -> None:
            self._begin(connection)
            document = revisions.append(connection, self._index(connection), self._revision, batch, known_names)
            queue.progressed(connection, document)

        self._write_named(job)
        self._info = None
        self.commits += 1
        self.on_progress(self._recognised)

    def announce(self, recognised: int) -> None:
        """Record now what `begin` was given, unless that is done, and report pages recognised up to this number.

        Only what `begin` was given is written.
        """
        is_news = self._info is not None or recognised > self._recognised
        self._recognised = recognised
        if self._info is not None:
            self._database.write(self._begin)
            self._info = None
        if is_news:
            self.on_progress(recognised)

    def _begin(self, connection: apsw.Connection) -> None:
        if self._info is not None:
            revisions.begin(connection, self._revision, self._info)

    def copy_some(self, most: int = _COPIED_AT_ONCE) -> bool | None:
        """Copy the next chunks from another document with the same content; returns whether these were the last.

        None if no such document exists, or no longer: the rest must be read. After the last chunks the revision must
        still be completed, as after the last batch.
        """

        def job(connection: apsw.Connection, known_names: document_names.KnownNames) -> bool | None:
            copied = twin_copies.copy_some(connection, self._index(connection), self._revision, most, known_names)
            if copied is None:
                return None
            queue.progressed(connection, copied[0])
            return copied[1]

        last = self._write_named(job)
        self.commits += last is not None
        self.on_progress(self._recognised)
        return last

    def complete(self) -> None:
        """Make this revision the serving one and drop the previous one, in one transaction.

        A large revision enters the full-text index before, and rows of a large previous one leave after, in steps. If
        the file was queued again meanwhile, the document stays in the queue.
        """

        prepare_switch(self._database, self._document, self._begin)

        def job(connection: apsw.Connection, known_names: document_names.KnownNames) -> None:
            self._begin(connection)
            document = revisions.complete(connection, self._index(connection), self._revision, known_names)
            documents.clear_failure(connection, document)
            if queue.is_current(connection, document, self._ticket):
                documents.set_state(connection, document, "indexed")

        self._write_named(job)

    def _index(self, connection: apsw.Connection) -> VectorIndex:
        index = embedders.writing(connection)
        if index.embedder != self._embedder:
            raise Stopped(f"reading revision {self._revision}", "the embedding model was changed meanwhile")
        return index
