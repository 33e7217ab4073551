"""How a document's pages were read: by their own text, by text recognition, or not."""

# ruff: noqa: S608 - what is put into SQL here is our own text; values are bound

import apsw

from appliance.store.connection import rows, run, value
from appliance.store.rows import PagesRead

_REVISION = "(SELECT coalesce(building, serving) FROM documents WHERE id = ?)"


def pages_read(connection: apsw.Connection, document: int, most_warnings: int) -> PagesRead:
    """Of the revision being read, else of the one that answers; nothing for a document that has neither."""
    counts = dict(
        rows(
            connection, f"SELECT source, count(*) FROM pages WHERE revision = {_REVISION} GROUP BY source", (document,)
        )
    )
    warned = f"FROM pages WHERE revision = {_REVISION} AND warning <> ''"
    warnings = rows(connection, f"SELECT number, warning {warned} ORDER BY number LIMIT ?", (document, most_warnings))
    total = value(connection, f"SELECT count(*) {warned}", (document,))
    assert isinstance(total, int)
    return PagesRead(
        text=counts.get("text", 0),
        ocr=counts.get("ocr", 0),
        skipped=counts.get("skipped", 0),
        empty=counts.get("empty", 0),
        warnings=tuple((number, warning) for number, warning in warnings),
        warned=total,
    )


def forget_skipped(connection: apsw.Connection, document: int) -> None:
    """Let a document that answers with pages skipped be read anew when it is next looked at, answering meanwhile."""
    run(
        connection,
        "UPDATE revisions SET extractor = 0 WHERE id = (SELECT serving FROM documents WHERE id = ?)"
        " AND EXISTS (SELECT 1 FROM pages p WHERE p.revision = revisions.id AND p.source = 'skipped')",
        (document,),
    )
