"""Removing documents that are too large for one transaction: gone from every answer and list in the first, then bit by bit.

The rule: a removed document's row has a path that no file can have, and no revision answers for it. Whatever lists
documents passes over it (`documents.STANDING`), and searches leave its chunks out. The row goes last, after everything
that was read of it and after its words have left the full text's pages, so that after a crash it says what is left to do.
"""

# ruff: noqa: S608 - what is put into SQL here is our own numbers; values are bound

import apsw

from appliance.store.database.connection import rows, run, value
from appliance.store.database.secure_cleaning import soil
from appliance.store.indexes import document_names, document_sources, fulltext
from appliance.store.indexes.fulltext_rewrite import Rewriting
from appliance.store.indexes.vectors import in_list
from appliance.store.tables import documents, embedders, queue

LARGE = 2048
"""Chunks of a document that is not removed in one transaction."""

_CHUNKS, _PAGES = 128, 1000
"""In a transaction, about a tenth of a second each."""
_REMOVED = f"SELECT d.id FROM documents d WHERE {documents.REMOVED}"


def needs_steps(connection: apsw.Connection, number: int) -> bool:
    """Whether removing the document would hold up other writes, or chunks of a revision put off still refer to its row."""
    chunks = value(connection, "SELECT coalesce(sum(chunks), 0) FROM revisions WHERE document = ?", (number,))
    put_off = "SELECT 1 FROM chunks c JOIN revisions r ON r.id = c.revision WHERE c.document = ?1 AND r.document <> ?1"
    return bool(chunks >= LARGE or value(connection, f"{put_off} LIMIT 1", (number,)))


def is_large(connection: apsw.Connection, revision: int) -> bool:
    """Whether deleting the revision in one transaction would hold up other writes."""
    return bool(value(connection, "SELECT chunks FROM revisions WHERE id = ?", (revision,)) >= LARGE)


def begin(connection: apsw.Connection, number: int) -> None:
    """Take the document out of every list and answer; what was read of it is the sweeper's.

    Its chunks leave the vector index at once, some 20 µs each: sqlite-vec could not leave out those of many documents.
    """
    soil(connection)
    if (index := embedders.serving(connection)) is not None:
        for (revision,) in rows(connection, "SELECT id FROM revisions WHERE document = ?", (number,)):
            index.unindex_revision(connection, revision)
    document_names.drop(connection, number)
    document_sources.drop(connection, number)
    documents.set_removed(connection, number)


def put_off(connection: apsw.Connection, document: int, revision: int) -> None:
    """Hand a revision that its document refers to no more to a removed document's row, made for it: the sweeper's.

    Its chunks leave the vector index at once. They keep the number of the document that they were made for, as
    changing it would write all of them anew; so the document's row must not go before them (`needs_steps`).
    """
    soil(connection)
    if (index := embedders.serving(connection)) is not None:
        index.unindex_revision(connection, revision)
    number = documents.insert_removed(connection, document, queue.next_sequence(connection))
    run(connection, "UPDATE revisions SET document = ? WHERE id = ?", (number, revision))


class Sweeper:
    """Does away with what removed documents have left, one transaction for each call; used by the writer thread alone."""

    def __init__(self) -> None:
        self._rewriting = Rewriting()  # after a crash it begins again

    def __call__(self, connection: apsw.Connection) -> bool:
        """Do a bit; whether anything was left to do."""
        if value(connection, f"{_REMOVED} LIMIT 1") is None:
            return False
        soil(connection)
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
