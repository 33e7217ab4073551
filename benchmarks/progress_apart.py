"""Runs `docent serve` with a deliberate fault: a batch's pages and progress are committed before its passages.

A test of the test: `benchmarks.torture --mutate` runs this instead of the service and must find that the stores differ.
The product does not know of it. (Progress counts alone, written before or after the batch, would be no such fault: the
product notices that they do not match the rows, and reads the document again from the start.)
"""

import sys
from contextlib import suppress
from typing import Any

import apsw

from appliance.__main__ import main
from appliance.store import revision_sink
from appliance.store.tables import revisions
from ingest.types import Batch

_PROGRESS = ("UPDATE revisions", "pages_done", "chunks = chunks +")


def split_transactions() -> None:
    """Splits each batch's transaction in two."""
    real_run, real_commit = revisions.run, revision_sink.RevisionSink.commit
    kept: list[tuple[str, Any]] = []  # the statement held back last; only touched by the writer thread

    def run(connection: apsw.Connection, sql: str, bindings: Any = ()) -> None:
        if all(part in sql for part in _PROGRESS):
            kept.append((sql, bindings))
            return
        real_run(connection, sql, bindings)

    def commit(self: revision_sink.RevisionSink, batch: Batch) -> None:
        first: list[tuple[str, Any]] = []

        def rehearse(connection: apsw.Connection, known: Any) -> None:
            self._begin(connection)
            revisions.append(connection, self._index(connection), self._revision, batch, known)
            first.append(kept.pop())
            raise _RehearsedError

        def progress(connection: apsw.Connection) -> None:
            revisions._insert_pages(connection, self._revision, batch.pages)
            real_run(connection, *first[0])

        with suppress(_RehearsedError):
            self._write_named(rehearse)
        self._database.write(progress)
        real_commit(self, batch)

    revisions.run = run  # type: ignore[assignment]
    revision_sink.RevisionSink.commit = commit  # type: ignore[method-assign]


class _RehearsedError(Exception):
    """Rolls back the transaction that was only run to learn the statement."""


if __name__ == "__main__":
    split_transactions()
    sys.exit(main())
