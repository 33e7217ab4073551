"""Migrates the schema in numbered steps, from an empty file to today's.

Rule: append only; never change a step that was released. Each step runs in one transaction with the new number
(`user_version`), so a power cut leaves a whole schema. The sqlite-vec tables depend on the embedding model, so
`indexes.vectors` creates them.
"""

from collections.abc import Sequence
from pathlib import Path

import apsw

from appliance.errors import StoreCorrupt, StoreTooNew
from appliance.store.database.connection import run, value

APPLICATION_ID = 0x446F6331  # "Doc1": marks the file as Docent's among SQLite databases

_FIRST: Sequence[str] = (
    f"PRAGMA application_id={APPLICATION_ID}",
    """
    CREATE TABLE collections (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name BLOB NOT NULL UNIQUE
    ) STRICT
    """,
    # The columns of the identity take any integer: beyond 64 bits they are decimal text (see `tables.documents`).
    """
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path BLOB NOT NULL UNIQUE,
        collection INTEGER NOT NULL REFERENCES collections(id),
        state TEXT NOT NULL CHECK (state IN ('pending', 'indexing', 'indexed', 'failed')),
        reason_code TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        hint TEXT NOT NULL DEFAULT '',
        failed_key TEXT NOT NULL DEFAULT '',
        device ANY NOT NULL,
        inode ANY NOT NULL,
        size ANY NOT NULL,
        mtime_ns ANY NOT NULL,
        ctime_ns ANY NOT NULL,
        serving INTEGER REFERENCES revisions(id) DEFERRABLE INITIALLY DEFERRED,
        building INTEGER REFERENCES revisions(id) DEFERRABLE INITIALLY DEFERRED,
        sequence INTEGER NOT NULL UNIQUE
    ) STRICT
    """,
    "CREATE INDEX documents_by_state ON documents (state, sequence)",
    "CREATE INDEX documents_by_collection ON documents (collection, path)",
    "CREATE INDEX documents_by_inode ON documents (inode)",
    "CREATE INDEX documents_by_serving ON documents (serving)",
    "CREATE INDEX documents_by_building ON documents (building)",
    """
    CREATE TABLE revisions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        document INTEGER NOT NULL REFERENCES documents(id),
        sha256 TEXT NOT NULL,
        extractor INTEGER NOT NULL,
        chunker INTEGER NOT NULL,
        template INTEGER NOT NULL,
        title TEXT NOT NULL DEFAULT '',
        pages INTEGER NOT NULL DEFAULT 0,
        pages_done INTEGER NOT NULL DEFAULT 0,
        chunks INTEGER NOT NULL DEFAULT 0,
        complete INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE INDEX revisions_by_document ON revisions (document)",
    """
    CREATE TABLE pages (
        id INTEGER PRIMARY KEY,
        revision INTEGER NOT NULL REFERENCES revisions(id),
        number INTEGER NOT NULL,
        label TEXT NOT NULL,
        width REAL NOT NULL,
        height REAL NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (revision, number)
    ) STRICT
    """,
    """
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        document INTEGER NOT NULL REFERENCES documents(id),
        revision INTEGER NOT NULL REFERENCES revisions(id),
        ordinal INTEGER NOT NULL,
        page INTEGER NOT NULL,
        page_last INTEGER NOT NULL,
        heading TEXT NOT NULL,
        text TEXT NOT NULL,
        text_hash BLOB NOT NULL,
        words BLOB NOT NULL,
        UNIQUE (revision, ordinal)
    ) STRICT
    """,
    "CREATE INDEX chunks_by_document ON chunks (document)",
    "CREATE INDEX chunks_by_text_hash ON chunks (text_hash)",
    """
    CREATE TABLE embedders (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        identity TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        dimensions INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE vectors (
        id INTEGER PRIMARY KEY,
        embedder INTEGER NOT NULL REFERENCES embedders(id),
        text_hash BLOB NOT NULL,
        vector BLOB NOT NULL,
        UNIQUE (text_hash, embedder)
    ) STRICT
    """,
    """
    CREATE TABLE name_vectors (
        document INTEGER PRIMARY KEY REFERENCES documents(id),
        embedder INTEGER NOT NULL REFERENCES embedders(id),
        text TEXT NOT NULL,
        vector BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE VIRTUAL TABLE passages USING fts5 (
        name, about, heading, text, tokenize = 'porter unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE VIRTUAL TABLE sources USING fts5 (
        name, about, tokenize = 'porter unicode61 remove_diacritics 2'
    )
    """,
    # Without this, deleted words stay readable in the index's own pages.
    "INSERT INTO passages (passages, rank) VALUES ('secure-delete', 1)",
    "INSERT INTO sources (sources, rank) VALUES ('secure-delete', 1)",
)

_PAGE_SOURCES: Sequence[str] = (
    "ALTER TABLE pages ADD COLUMN source TEXT NOT NULL DEFAULT 'text'",
    "ALTER TABLE pages ADD COLUMN warning TEXT NOT NULL DEFAULT ''",
    # retries what could not be read before text recognition and other formats than PDF were supported
    "UPDATE documents SET state = 'pending' WHERE state = 'failed' AND reason_code IN ('not_a_pdf', 'no_text')",
)
"""How each page was read and what went wrong with it."""

# A document's metadata, and the table rows in its passages; NULL (unknown) for passages made before.
_HOW_IT_WAS_READ: Sequence[str] = (
    "ALTER TABLE revisions ADD COLUMN author TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE revisions ADD COLUMN language TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE revisions ADD COLUMN created TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE revisions ADD COLUMN modified TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE chunks ADD COLUMN table_rows INTEGER",
)

# Time of the next scheduled attempt (Unix seconds); a document is not ready before this is cleared.
_DURABLE_QUEUE: Sequence[str] = (
    "ALTER TABLE documents ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE documents ADD COLUMN next_attempt REAL",
    "CREATE INDEX documents_ready_by_age ON documents (sequence) WHERE state = 'pending' AND next_attempt IS NULL",
    "CREATE INDEX documents_ready_by_size ON documents (size, sequence) WHERE state = 'pending' AND next_attempt IS NULL",
    "CREATE INDEX documents_by_next_attempt ON documents (next_attempt) WHERE next_attempt IS NOT NULL",
    "CREATE INDEX revisions_by_content ON revisions (sha256) WHERE complete = 1",
    "UPDATE documents SET next_attempt = 0 WHERE state = 'failed' AND failed_key = ''"
    " AND reason_code IN ('unreadable', 'file_changed', 'ingest_failed', 'internal_error')",
)

_EMBEDDING_SWITCH: Sequence[str] = (
    "ALTER TABLE embedders ADD COLUMN folder TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE embedders ADD COLUMN role TEXT NOT NULL DEFAULT 'serving' CHECK (role IN ('serving', 'target'))",
    "CREATE UNIQUE INDEX embedders_by_role ON embedders (role)",
    # 1: the text is longer than the model's input, so its end is not in the vector.
    "ALTER TABLE vectors ADD COLUMN cut INTEGER NOT NULL DEFAULT 0",
    # What the chunks depend on besides the key: tokenizer and lengths. Unknown for earlier revisions.
    "ALTER TABLE revisions ADD COLUMN chunking TEXT NOT NULL DEFAULT ''",
    # One name vector for each document and model; before, one for each document.
    "ALTER TABLE name_vectors RENAME TO old_name_vectors",
    """
    CREATE TABLE name_vectors (
        document INTEGER NOT NULL REFERENCES documents(id),
        embedder INTEGER NOT NULL REFERENCES embedders(id),
        text TEXT NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (document, embedder)
    ) STRICT
    """,
    "INSERT INTO name_vectors SELECT document, embedder, text, vector FROM old_name_vectors",
    "DROP TABLE old_name_vectors",
)

_PERIOD: Sequence[str] = ("ALTER TABLE revisions ADD COLUMN period TEXT NOT NULL DEFAULT ''",)
"""The period that a report states."""

# Skipped pages are few, and every list and status counts them.
_SKIPPED_PAGES: Sequence[str] = ("CREATE INDEX pages_skipped ON pages (revision) WHERE source = 'skipped'",)

# One row: 1 if something was deleted since the file was last rewritten. Assumed if documents were read before.
_CLEANING: Sequence[str] = (
    "CREATE TABLE cleaning (owed INTEGER NOT NULL) STRICT",
    "INSERT INTO cleaning SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'documents')",
)

MIGRATIONS: Sequence[Sequence[str]] = (
    _FIRST,
    _PAGE_SOURCES,
    _HOW_IT_WAS_READ,
    _DURABLE_QUEUE,
    _EMBEDDING_SWITCH,
    _PERIOD,
    _SKIPPED_PAGES,
    _CLEANING,
)


def migrate(connection: apsw.Connection, path: Path, steps: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Migrate the database to the newest schema.

    Raises:
        StoreTooNew: a newer Docent wrote it.
        StoreCorrupt: the file is an SQLite database, but not Docent's.
    """
    version = _version(connection, path)
    if version > len(steps):
        raise StoreTooNew(
            f"opening {path}",
            f"a newer version of Docent wrote it (schema {version}; this version knows up to {len(steps)})",
            "run that version of Docent, or a newer one",
        )
    for number in range(version, len(steps)):
        _step(connection, steps[number], number + 1)


def _version(connection: apsw.Connection, path: Path) -> int:
    version = value(connection, "PRAGMA user_version")
    assert isinstance(version, int)
    empty = not value(connection, "SELECT count(*) FROM sqlite_schema")
    if not empty and value(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreCorrupt(f"opening {path}", "it is not a database of Docent's", f"move {path} away")
    return version


def _step(connection: apsw.Connection, statements: Sequence[str], number: int) -> None:
    run(connection, "BEGIN IMMEDIATE")
    try:
        for statement in statements:
            run(connection, statement)
        run(connection, f"PRAGMA user_version={number}")
        run(connection, "COMMIT")
    except BaseException:
        if connection.in_transaction:
            run(connection, "ROLLBACK")
        raise
