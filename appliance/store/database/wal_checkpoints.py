"""Checkpoints a long write-ahead log (WAL) while the writer continues, and shortens its file in steps.

Both take seconds for some hundred megabytes, and every job would wait for them: for a commit that checkpoints the log
or cuts it to its limit, and for a checkpoint in the writer thread. So `let_grow` stops commits from doing either,
`Checkpoint` runs in a thread of its own, and `shorten` cuts the file by some megabytes with each commit.
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
    """Size of the file in bytes; 0 if it does not exist."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


SHORT = 16 << 20
"""Bytes of a log that a truncating checkpoint empties quickly."""
_CUT = 8 << 20
"""Bytes cut with each commit, which takes some tens of milliseconds."""


def let_grow(writer: apsw.Connection) -> None:
    """Stop commits from checkpointing the log and from cutting it."""
    writer.wal_autocheckpoint(0)
    run(writer, "PRAGMA journal_size_limit=-1")


def let_checkpoint(writer: apsw.Connection) -> None:
    """Let commits checkpoint the log again, once there is little left to copy."""
    writer.wal_autocheckpoint(LOG_PAGES)


def keep_short(writer: apsw.Connection) -> None:
    """Restore the usual limits."""
    let_checkpoint(writer)
    run(writer, f"PRAGMA journal_size_limit={LOG_BYTES}")


def shorten(path: Path, writer: apsw.Connection, write_waits: Callable[[], bool]) -> bool:
    """Cut the file of a checkpointed log until it is short; False if a write or a reader prevents it.

    Raises:
        apsw.BusyError: a reader still needs the log.
    """
    while (long := size(log_path(path))) > SHORT:
        if write_waits() or value(writer, "PRAGMA wal_checkpoint(RESTART)"):
            return False
        run(writer, f"PRAGMA journal_size_limit={long - _CUT}")
        same = value(writer, "PRAGMA user_version")
        run(writer, f"PRAGMA user_version={same}")  # the first commit after a restart cuts the file to the limit
        run(writer, "PRAGMA journal_size_limit=-1")
        if size(log_path(path)) >= long:
            return True
    return True


class Checkpoint:
    """A passive checkpoint in a thread of its own, started at once. `end` it when it is done, or to interrupt it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._is_whole = False  # only touched by the thread, read after its end
        self._thread = threading.Thread(target=self._run, name="docent-store-checkpoint", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the checkpoint is in progress."""
        return self._thread.is_alive()

    def end(self) -> bool:
        """Stop and close; True if all of the log as of the start was copied. Readers of old snapshots prevent it."""
        while self._thread.is_alive():
            self._connection.interrupt()
            self._thread.join(0.01)
        self._connection.close()
        return self._is_whole

    def _run(self) -> None:
        try:
            value(self._connection, "SELECT count(*) FROM sqlite_schema")  # makes SQLite open the log
            found = row(self._connection, "PRAGMA wal_checkpoint(PASSIVE)")
        except apsw.InterruptError:
            return
        except apsw.Error as error:
            _log.warning("checkpointing the write-ahead log of %s failed; it is retried: %s", self._path, error)
            return
        assert found is not None
        busy, log, copied = found
        self._is_whole = not busy and log == copied
