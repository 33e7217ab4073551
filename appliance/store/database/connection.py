"""Opens SQLite connections with their settings and the sqlite-vec extension, and runs statements to their end.

Rule: apsw steps statements lazily, so each statement is drained (`run`, `rows`).
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import sqlite_vec

BUSY_MS = 5_000
_WRITER_CACHE_KIB, _READER_CACHE_KIB = 8 * 1024, 32 * 1024
_MMAP_BYTES = 1 << 30
LOG_BYTES = 64 << 20
LOG_PAGES = 1000
"""Pages in the write-ahead log from which on a commit checkpoints it; SQLite's own default."""

Row = tuple[Any, ...]
Bindings = Sequence[Any] | dict[str, Any]

# The writer's cache fills as a document grows, so it is the memory that a long document costs more than a short one; a
# larger cache made nothing faster. Readers use the mapped file, so their caches stay small by themselves.
# auto_vacuum has an effect only before the first table. secure_delete and FULL must be set on each connection: without
# FULL, a power cut could undo a batch that was reported as committed.
_WRITER = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA secure_delete=ON",
    f"PRAGMA journal_size_limit={LOG_BYTES}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",
    f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}",
    "PRAGMA mmap_size=0",
)
_READER = (
    "PRAGMA query_only=ON",
    f"PRAGMA cache_size=-{_READER_CACHE_KIB}",
    f"PRAGMA mmap_size={_MMAP_BYTES}",
)
_BOTH = (
    "PRAGMA trusted_schema=OFF",
    "PRAGMA temp_store=MEMORY",
)


def open_writer(path: Path) -> apsw.Connection:
    """Open the one connection that writes. Creates the file, readable by its owner alone."""
    with suppress(OSError):  # SQLite's own error is clearer
        path.touch(mode=0o600)
    return _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, _WRITER)


def use_wal(connection: apsw.Connection) -> None:
    """Switch to WAL mode. The file keeps this setting, so call it only for a file that is known to be ours."""
    run(connection, "PRAGMA journal_mode=WAL")


def open_reader(path: Path) -> apsw.Connection:
    """Open a read-only connection."""
    return _open(path, apsw.SQLITE_OPEN_READONLY, _READER)


def run(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> None:
    """Run a statement to its end and discard its rows."""
    connection.execute(sql, bindings).fetchall()


def rows(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> list[Row]:
    """All rows."""
    return connection.execute(sql, bindings).fetchall()


def row(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> Row | None:
    """The first row, or None."""
    found = connection.execute(sql, bindings).fetchall()
    return found[0] if found else None


def value(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> Any:
    """The first column of the first row, or None."""
    found = row(connection, sql, bindings)
    return None if found is None else found[0]


def _open(path: Path, flags: int, pragmas: tuple[str, ...]) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(BUSY_MS)
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.enable_load_extension(False)
        for pragma in (*pragmas, *_BOTH):
            run(connection, pragma)
    except BaseException:
        connection.close()
        raise
    return connection
