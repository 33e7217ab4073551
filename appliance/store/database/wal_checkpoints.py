"""Folding a long write-ahead log into the file while the writer goes on, and shortening it bit by bit.

Both take seconds for some hundred megabytes, and every job would wait: for a commit that folds the log or cuts it down to
its limit, as for a checkpoint in the writer's thread. So `let_grow` keeps commits from it, a checkpoint in a thread of its
own folds, and `shorten` cuts the file, some megabytes with each commit.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from appliance.store.database.connection import LOG_BYTES, LOG_PAGES, row, run, value

_log = logging.getLogger(__name__)


def log_path(path: Path) -> Path:
    """The write-ahead log of the database at `path`."""
    return path.with_name(path.name + "-wal")


def size(file: Path) -> int:
    """In bytes; 0 if it is not there."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


SHORT = 16 << 20
"""Bytes of log that hold up nobody for long."""
_CUT = 8 << 20
"""With each commit, some hundredths of a second."""


def let_grow(writer: apsw.Connection) -> None:
    """Let commits neither fold the log nor cut it."""
    writer.wal_autocheckpoint(0)
    run(writer, "PRAGMA journal_size_limit=-1")


def let_fold(writer: apsw.Connection) -> None:
    """Let commits fold the log again; there is little to fold."""
    writer.wal_autocheckpoint(LOG_PAGES)


def keep_short(writer: apsw.Connection) -> None:
    """The usual limits hold again."""
    let_fold(writer)
    run(writer, f"PRAGMA journal_size_limit={LOG_BYTES}")


def shorten(path: Path, writer: apsw.Connection, somebody_waits: Callable[[], bool]) -> bool:
    """Cut the file of a log that is folded until it is short; whether it is.

    Raises:
        apsw.BusyError: a reader needs what is in it.
    """
    while (long := size(log_path(path))) > SHORT:
        if somebody_waits() or value(writer, "PRAGMA wal_checkpoint(RESTART)"):
            return False
        run(writer, f"PRAGMA journal_size_limit={long - _CUT}")
        same = value(writer, "PRAGMA user_version")
        run(writer, f"PRAGMA user_version={same}")  # the first commit after a restart cuts the file to the limit
        run(writer, "PRAGMA journal_size_limit=-1")
        if size(log_path(path)) >= long:
            return True
    return True


class Folding:
    """One checkpoint, begun at once; `end` it when it is not `running` any more, or to break it off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._is_whole = False  # only touched by the thread, and read after its end
        self._thread = threading.Thread(target=self._run, name="docent-store-folding", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether there is more to do."""
        return self._thread.is_alive()

    def end(self) -> bool:
        """Whether all of the log was folded, as far as it went at the beginning; readers of older snapshots prevent it."""
        while self._thread.is_alive():
            self._connection.interrupt()
            self._thread.join(0.01)
        self._connection.close()
        return self._is_whole

    def _run(self) -> None:
        try:
            value(self._connection, "SELECT count(*) FROM sqlite_schema")  # only then does it know of the log
            found = row(self._connection, "PRAGMA wal_checkpoint(PASSIVE)")
        except apsw.InterruptError:
            return
        except apsw.Error as error:
            _log.warning("folding the log of %s failed, it is tried again: %s", self._path, error)
            return
        assert found is not None
        busy, log, folded = found
        self._is_whole = not busy and log == folded
