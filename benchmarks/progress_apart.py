"""`docent serve` with one fault put in: the progress of a batch is written in a transaction of its own, after the batch.

The proof against proofs: `benchmarks.torture --mutate` runs this instead of the service, and must then find that the
stores differ. Nothing of the product knows of it. (Written before the batch, the product finds the fault itself: pages
that are said to be done and are not there make it begin anew.)
"""

import sys
from typing import Any

import apsw

from appliance.__main__ import main
from appliance.store import revisions, sink
from ingest.types import Batch

_PROGRESS = ("UPDATE revisions", "pages_done", "chunks = chunks +")


def put_in() -> None:
    """Split each batch's transaction in two."""
    real_run, real_commit = revisions.run, sink.RevisionSink.commit
    kept: list[tuple[str, Any]] = []  # the statement that was taken out last; only touched by the writer thread

    def run(connection: apsw.Connection, sql: str, bindings: Any = ()) -> None:
        if all(part in sql for part in _PROGRESS):
            kept.append((sql, bindings))
            return
        real_run(connection, sql, bindings)

    def commit(self: sink.RevisionSink, batch: Batch) -> None:
        real_commit(self, batch)
        sql, bindings = kept.pop()
        self._database.write(lambda connection: real_run(connection, sql, bindings))

    revisions.run = run  # type: ignore[assignment]
    sink.RevisionSink.commit = commit  # type: ignore[method-assign]


if __name__ == "__main__":
    put_in()
    sys.exit(main())
