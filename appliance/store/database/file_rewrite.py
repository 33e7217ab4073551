"""Writing the database's file anew from its living rows, so that nothing of deleted ones is left in any page.

`VACUUM` in place cannot be broken off while it copies the pages back, which is most of it. So its two halves are done one
by one: `VACUUM INTO` a file beside the database, which ends at once when somebody wants to write, then SQLite's online
backup of that file over the database, some pages a step, in one transaction that is given up when somebody wants to write.
Readers keep their snapshots. `VACUUM INTO` also keeps every rowid, which sqlite-vec's tables need.
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
"""Of SQLite's virtual machine between two looks whether somebody waits: some milliseconds."""
_PAGES = 256
_SYNCED_PAGES = 1024
"""After each so many the log is synced, so that the commit has little left to do."""
_CACHE_KIB = 8 * 1024
_ROOM = 2.2
"""Times the file's size: the copy, the log, and something for the others on this disk."""


def renew(path: Path, writer: apsw.Connection, somebody_waits: Callable[[], bool], finish: str) -> bool:
    """Write the file anew, with the statement `finish` done in it; False, and nothing has changed, if somebody waits.

    Raises:
        StoreFull: there is not room enough; nothing was begun.
        apsw.Error, OSError: it failed; nothing has changed.
    """
    _demand_room(path)
    discard(path)
    copy = _copy_path(path)
    try:
        copy.touch(mode=0o600)
        version = value(writer, "PRAGMA data_version")
        _copy_living(path, copy, somebody_waits)
        if value(writer, "PRAGMA data_version") != version:  # nobody else writes; but if somebody did, it is not lost
            return False
        return _put_back(path, writer, copy, somebody_waits, finish)
    except apsw.InterruptError:
        return False
    finally:
        discard(path)


def discard(path: Path) -> None:
    """Remove what a renewal has left, also one that was killed.

    The names go at once; a thread lets go of the blocks, which takes a tenth of a second for some hundred megabytes.
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
    """In the database's own folder: there is no other where its words may be, or that surely can be written."""
    return path.with_name(path.name + "-anew")


def _demand_room(path: Path) -> None:
    wanted, free = int(_ROOM * path.stat().st_size), shutil.disk_usage(path.parent).free
    if free < wanted:
        raise StoreFull(
            f"writing {path} anew",
            f"it needs {wanted >> 20} MiB for a while, and {free >> 20} MiB are free",
            f"free space on the disk of {path.parent}",
        )


def _copy_living(path: Path, copy: Path, somebody_waits: Callable[[], bool]) -> None:
    source = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        run(source, "PRAGMA synchronous=OFF")  # of the copy; after a crash it is thrown away
        run(source, f"PRAGMA cache_size=-{_CACHE_KIB}")
        source.set_progress_handler(somebody_waits, _STEPS)
        run(source, "VACUUM INTO ?", (str(copy),))
    finally:
        source.close()


def _put_back(path: Path, writer: apsw.Connection, copy: Path, somebody_waits: Callable[[], bool], finish: str) -> bool:
    source = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        run(source, "PRAGMA synchronous=OFF")
        run(source, finish)
        with writer.backup("main", source, "main") as backup, log_path(path).open("rb") as log:
            unsynced = 0
            while not backup.done:
                if somebody_waits():
                    return False
                backup.step(_PAGES)
                unsynced += _PAGES
                if unsynced >= _SYNCED_PAGES:
                    os.fdatasync(log.fileno())
                    unsynced = 0
    finally:
        source.close()
    return True
