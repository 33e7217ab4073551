"""Opening SQLite: settings, the sqlite-vec extension, and running a statement to its end.

apsw steps statements lazily, so nothing here runs a statement without draining it (`run`, `rows`).
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
"""In the write-ahead log, SQLite's own default, from which on a commit folds them into the file."""

Row = tuple[Any, ...]
Bindings = Sequence[Any] | dict[str, Any]

# The writer's cache fills as a document grows, so it is what reading a long one costs more than a short one; more than
# this made nothing faster. The readers look at the mapped file, and their caches stay small by themselves.
# auto_vacuum counts only before the first table. secure_delete and FULL are needed anew on each connection: without
# FULL, a power cut could take back a batch that was reported as committed.
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
    """The one connection that writes; creates the file, readable by its owner alone."""
    with suppress(OSError):  # SQLite says it better
        path.touch(mode=0o600)
    return _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, _WRITER)


def use_wal(connection: apsw.Connection) -> None:
    """Write ahead; kept in the file, so only for one that has been found to be ours."""
    run(connection, "PRAGMA journal_mode=WAL")


def open_reader(path: Path) -> apsw.Connection:
    """A connection that cannot write."""
    return _open(path, apsw.SQLITE_OPEN_READONLY, _READER)


def run(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> None:
    """Run to the end, whatever it returns."""
    connection.execute(sql, bindings).fetchall()


def rows(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> list[Row]:
    """All rows."""
    return connection.execute(sql, bindings).fetchall()


def row(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> Row | None:
    """The first row, if any."""
    found = connection.execute(sql, bindings).fetchall()
    return found[0] if found else None


def value(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> Any:
    """The first column of the first row; None without a row."""
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
