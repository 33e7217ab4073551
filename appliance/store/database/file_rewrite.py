"""Rewrites the database file from its live rows, so that nothing of deleted ones is left in any page.

`VACUUM` in place cannot be interrupted while it copies the pages back, which is most of its time. So its two halves run
separately: `VACUUM INTO` a file beside the database, which can be interrupted at once, then SQLite's online backup of
that file over the database, some pages a step, in one transaction that is rolled back when a write is waiting. Readers
keep their snapshots. `VACUUM INTO` also preserves every rowid, which sqlite-vec's tables need.
"""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from appliance.errors import StoreFull
from appliance.store.database.connection import run, value
from appliance.store.database.wal_checkpoints import log_path

_STEPS = 1000
"""Steps of SQLite's virtual machine between two checks for waiting writes; some milliseconds."""
_PAGES = 256
"""Pages of 4 KiB in a backup step, between two checks for waiting writes."""
_SYNCED_PAGES = 1024
"""Pages between two syncs of the log, so that the commit has little left to do."""
_CACHE_KIB = 8 * 1024
_ROOM = 2.2
"""Free space needed, as a multiple of the file's size: the copy, the log, and a margin for other users of the disk."""


def rewrite_file(path: Path, writer: apsw.Connection, write_waits: Callable[[], bool], finish: str) -> bool:
    """Rewrite the file and run the statement `finish` in it; False, with nothing changed, if a write is waiting.

    Raises:
        StoreFull: the disk has too little free space; nothing was begun.
        apsw.Error, OSError: it failed; nothing has changed.
    """
    _demand_room(path)
    discard(path)
    copy = _copy_path(path)
    try:
        copy.touch(mode=0o600)
        version = value(writer, "PRAGMA data_version")
        _copy_living(path, copy, write_waits)
        if value(writer, "PRAGMA data_version") != version:
            return False  # another connection has written; there should be none, but its changes must not be lost
        return _put_back(path, writer, copy, write_waits, finish)
    except apsw.InterruptError:
        return False
    finally:
        discard(path)


def discard(path: Path) -> None:
    """Delete the copy that a rewrite has left, also one that was killed.

    The names go at once; a thread frees the blocks, which takes 0.1 s for some hundred megabytes.
    """
    copy = _copy_path(path)
    for file in (copy, copy.with_name(copy.name + "-journal")):
        try:
            held = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            file.unlink()
        finally:
            threading.Thread(target=os.close, args=(held,), name="docent-store-discarding", daemon=True).start()


def _copy_path(path: Path) -> Path:
    """In the database's own folder, the only one that may contain its words and is sure to be writable."""
    return path.with_name(path.name + "-anew")


def _demand_room(path: Path) -> None:
    wanted, free = int(_ROOM * path.stat().st_size), shutil.disk_usage(path.parent).free
    if free < wanted:
        raise StoreFull(
            f"rewriting {path}",
            f"it temporarily needs {wanted >> 20} MiB of disk space, but only {free >> 20} MiB are free",
            f"free space on the disk of {path.parent}",
        )


def _copy_living(path: Path, copy: Path, write_waits: Callable[[], bool]) -> None:
    source = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        run(source, "PRAGMA synchronous=OFF")  # concerns the copy, which is deleted after a crash
        run(source, f"PRAGMA cache_size=-{_CACHE_KIB}")
        source.set_progress_handler(write_waits, _STEPS)
        run(source, "VACUUM INTO ?", (str(copy),))
    finally:
        source.close()


def _put_back(path: Path, writer: apsw.Connection, copy: Path, write_waits: Callable[[], bool], finish: str) -> bool:
    source = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        run(source, "PRAGMA synchronous=OFF")
        run(source, finish)
        with writer.backup("main", source, "main") as backup, log_path(path).open("rb") as log:
            unsynced = 0
            while not backup.done:
                if write_waits():
                    return False
                backup.step(_PAGES)
                unsynced += _PAGES
                if unsynced >= _SYNCED_PAGES:
                    os.fdatasync(log.fileno())
                    unsynced = 0
    finally:
        source.close()
    return True
