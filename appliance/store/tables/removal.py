"""Deletes documents and revisions that are too large for one transaction, in steps.

The first transaction takes the text out of every answer and list; the rows follow, step by step.

Rule: a removed document's row has a path that no file can have, and no serving or building revision. Lists leave it out
(`documents.STANDING`), and so do searches its chunks (`revisions.hidden`). The row is deleted last, after all that was
read and after the words have left the pages of the full-text index, so after a crash it shows what is left to do.
A large revision that was replaced or withdrawn gets such a row of its own (`put_off`).
"""

# ruff: noqa: S608 - what is put into SQL here is our own numbers; values are bound

import apsw

from appliance.store.database.connection import rows, run, value
from appliance.store.database.secure_cleaning import mark_dirty
from appliance.store.indexes import document_names, document_sources, fulltext
from appliance.store.indexes.fulltext_rewrite import Rewriting
from appliance.store.indexes.vectors import in_list
from appliance.store.tables import documents, embedders, queue

LARGE = 2048
"""Chunks; from this number on, deletion runs in steps. Less takes at most 0.6 s at once, on a quiet machine."""

_CHUNKS, _PAGES = 128, 1000
"""Deleted in one transaction, which takes about 0.1 s."""
_REMOVED = f"SELECT d.id FROM documents d WHERE {documents.REMOVED}"


def needs_steps(connection: apsw.Connection, number: int) -> bool:
    """Whether the document is too large for one transaction, or chunks of a revision put off still refer to its row."""
    chunks = value(connection, "SELECT coalesce(sum(chunks), 0) FROM revisions WHERE document = ?", (number,))
    put_off = "SELECT 1 FROM chunks c JOIN revisions r ON r.id = c.revision WHERE c.document = ?1 AND r.document <> ?1"
    return bool(chunks >= LARGE or value(connection, f"{put_off} LIMIT 1", (number,)))


def is_large(connection: apsw.Connection, revision: int) -> bool:
    """Whether the revision is too large to be deleted in one transaction."""
    return bool(value(connection, "SELECT chunks FROM revisions WHERE id = ?", (revision,)) >= LARGE)


def begin(connection: apsw.Connection, number: int) -> None:
    """Take the document out of every list and answer; the sweeper deletes the rest.

    Its chunks leave the vector index at once, some 20 µs each: sqlite-vec cannot exclude those of many documents.
    """
    mark_dirty(connection)
    if (index := embedders.serving(connection)) is not None:
        for (revision,) in rows(connection, "SELECT id FROM revisions WHERE document = ?", (number,)):
            index.unindex_revision(connection, revision)
    document_names.drop(connection, number)
    document_sources.drop(connection, number)
    documents.set_removed(connection, number)


def put_off(connection: apsw.Connection, document: int, revision: int) -> None:
    """Move a revision to which its document no longer refers to the row of a removed document; the sweeper deletes it.

    Its chunks leave the vector index at once. They keep the number of their first document, because changing it would
    rewrite every row. So that document's row must not be deleted before them (`needs_steps`).
    """
    mark_dirty(connection)
    if (index := embedders.serving(connection)) is not None:
        index.unindex_revision(connection, revision)
    number = documents.insert_removed(connection, document, queue.next_sequence(connection))
    run(connection, "UPDATE revisions SET document = ? WHERE id = ?", (number, revision))


class Sweeper:
    """Deletes the rows that removed documents have left, one transaction a call. Only used by the writer thread."""

    def __init__(self) -> None:
        self._rewriting = Rewriting()  # begins again after a crash

    def __call__(self, connection: apsw.Connection) -> bool:
        """Do one step; False if there was nothing left to do."""
        if value(connection, f"{_REMOVED} LIMIT 1") is None:
            return False
        mark_dirty(connection)
        if self._drop_chunks(connection):
            self._rewriting.begin_again()
        elif not self._drop_pages(connection) and self._rewriting(connection):
            run(connection, f"DELETE FROM revisions WHERE id IN ({documents.REMOVED_REVISIONS})")
            for (number,) in rows(connection, _REMOVED):
                documents.delete(connection, number)
        return True

    def _drop_chunks(self, connection: apsw.Connection) -> bool:
        found = rows(
            connection,
            f"SELECT id, revision FROM chunks WHERE revision IN ({documents.REMOVED_REVISIONS}) ORDER BY revision, ordinal LIMIT ?",
            (_CHUNKS,),
        )
        if not found:
            return False
        numbers = in_list([number for number, _ in found])
        fulltext.drop(connection, numbers)
        run(
            connection,
            f"DELETE FROM vectors WHERE text_hash IN (SELECT text_hash FROM chunks WHERE id IN {numbers}) AND NOT EXISTS"
            f" (SELECT 1 FROM chunks c WHERE c.text_hash = vectors.text_hash AND c.id NOT IN {numbers})",
        )
        run(connection, f"DELETE FROM chunks WHERE id IN {numbers}")
        for revision in {revision for _, revision in found}:
            run(
                connection,
                "UPDATE revisions SET chunks = (SELECT count(*) FROM chunks WHERE revision = ?1) WHERE id = ?1",
                (revision,),
            )
        return True

    def _drop_pages(self, connection: apsw.Connection) -> bool:
        before = connection.total_changes()
        run(
            connection,
            f"DELETE FROM pages WHERE id IN (SELECT id FROM pages WHERE revision IN ({documents.REMOVED_REVISIONS}) LIMIT ?)",
            (_PAGES,),
        )
        return connection.total_changes() > before
