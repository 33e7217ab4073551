"""Removes deleted words from the file, not only from the tables: at once if cheap, thoroughly once no writes come.

Rule: a transaction that deletes also calls `mark_dirty`. When the writer thread is idle it scrubs: it deletes what
large deletions have left, frees unused pages in small steps (incremental vacuum), and empties the write-ahead log
(WAL). SQLite leaves copies of rows in the unused part of a page when it balances pages, whatever `secure_delete` says.
So each deletion also requires a thorough cleaning, recorded in `cleaning.owed` and thus not lost in a crash: after some
seconds without writes, the file is rewritten (`file_rewrite`). A write that arrives interrupts it; it is retried, later
each time.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from appliance.errors import StoreFull
from appliance.store.database.connection import BUSY_MS, run, value
from appliance.store.database.file_rewrite import rewrite_file
from appliance.store.database.wal_checkpoints import (
    SHORT,
    Checkpoint,
    keep_short,
    let_checkpoint,
    let_grow,
    log_path,
    shorten,
    size,
)

_log = logging.getLogger(__name__)

_MARK_DIRTY = "docent_mark_dirty"
_OWED = "SELECT owed FROM cleaning"
_DONE = "UPDATE cleaning SET owed = 0"
# Chosen by eye.
_FREED_PAGES = 256  # in one step, between two checks for waiting writes
_BUSY_MS = 50  # how long a checkpoint waits for readers
_RETRY_SECONDS = 0.5
_LONGEST_QUIET_SECONDS = 3600.0
_MOST_DOUBLINGS = 12


def mark_dirty(connection: apsw.Connection) -> None:
    """Record, inside a transaction, that it deletes something that must not stay readable in the files."""
    run(connection, f"SELECT {_MARK_DIRTY}()")
    run(connection, "UPDATE cleaning SET owed = 1 WHERE owed = 0")


@dataclass(frozen=True, slots=True)
class Pace:
    """When to clean. All times are in seconds."""

    quiet: float = 3.0
    """Time without writes before a thorough cleaning."""
    quiet_per_100_mb: float = 3.0
    """Added to `quiet` for each 100 MB of the file; about what rewriting them takes."""
    after_fault: float = 30.0
    """Time until a failed cleaning is retried, for example on a full disk."""
    rests: float = 50.0
    """Pause after a thorough cleaning, as a multiple of its duration: constant deletions must not wear out the disk."""

    def quiet_for(self, size: int, interrupted: int) -> float:
        """Seconds without writes for a file of `size` bytes; doubles with each interrupted cleaning in a row."""
        quiet = self.quiet + self.quiet_per_100_mb * size / 1e8
        return min(quiet * 2.0 ** min(interrupted, _MOST_DOUBLINGS), max(quiet, _LONGEST_QUIET_SECONDS))


class Cleaner:
    """Cleans one database. Only touched by the writer thread, which owns the connection."""

    def __init__(
        self,
        path: Path,
        connection: apsw.Connection,
        sweep: Callable[[], bool],
        write_waits: Callable[[], bool],
        pace: Pace,
    ) -> None:
        """`sweep` does one step of unfinished deletions in a transaction; False if there was nothing to do."""
        self._path = path
        self._connection = connection
        self._sweep = sweep
        self._write_waits = write_waits
        self._pace = pace
        self._dirty = True  # a crash may have prevented a scrub
        self._owed = bool(value(connection, _OWED))
        self._not_before = 0.0
        self._quiet_since = time.monotonic()
        self._rested_at = 0.0
        self._interrupted = 0
        self._warned = False
        self._checkpoint: Checkpoint | None = None
        connection.create_scalar_function(_MARK_DIRTY, self._mark_dirty, 0)

    def wait(self) -> float | None:
        """Seconds until the next cleaning, if no write comes first; None if there is nothing to clean."""
        now = time.monotonic()
        if self._dirty:
            return max(_RETRY_SECONDS, self._not_before - now)
        if self._owed:
            quiet_until = self._quiet_since + self._pace.quiet_for(size(self._path), self._interrupted)
            return max(0.0, quiet_until - now, self._rested_at - now, self._not_before - now)
        return None

    def written(self) -> None:
        """Called after each job: scrub what it has deleted, unless a write is waiting."""
        self._quiet_since = time.monotonic()
        if self._dirty and not self._write_waits() and self._quiet_since >= self._not_before:
            self._survive(self._scrub)

    def idle(self) -> None:
        """Called when the time of `wait` has passed: clean."""
        if self._dirty:
            self._survive(self._scrub)
        elif self._owed and not self.wait():
            self._survive(self._clean_thoroughly)

    def close(self, *, scrub: bool) -> None:
        """Called when the writer ends. A thorough cleaning still owed runs after the next start."""
        if self._checkpoint is not None:
            self._checkpoint.end()
            self._checkpoint = None
        if scrub and self._dirty:
            self._scrub(closing=True)

    def _mark_dirty(self, *_: object) -> None:
        self._dirty = self._owed = True

    def _survive(self, clean: Callable[[], None]) -> None:
        """Run `clean`; log any error, because writing must go on."""
        try:
            clean()
        except Exception:  # noqa: BLE001 - the writer's thread must not end
            self._not_before = time.monotonic() + self._pace.after_fault
            _log.exception("cleaning %s failed; it is retried", self._path)

    def _scrub(self, *, closing: bool = False) -> None:
        """Scrub until done or until a write is waiting; the rest is done at the next chance."""
        try:
            swept = self._swept(closing=closing)
            if swept is None:
                return
            while value(self._connection, "PRAGMA freelist_count"):
                run(self._connection, f"PRAGMA incremental_vacuum({_FREED_PAGES})")
                if self._write_waits():
                    return
            self._connection.set_busy_timeout(_BUSY_MS)
            if not (closing or self._is_short()):
                return
            self._dirty = bool(value(self._connection, "PRAGMA wal_checkpoint(TRUNCATE)")) or not swept
            keep_short(self._connection)
        except apsw.BusyError:
            pass  # a reader holds an older snapshot; the loop retries
        except apsw.Error as error:
            self._not_before = time.monotonic() + self._pace.after_fault
            _log.warning("cleaning %s failed; it is retried: %s", self._path, error)
        finally:
            self._connection.set_busy_timeout(BUSY_MS)

    def _swept(self, *, closing: bool) -> bool | None:
        """True when all is swept, None if a write is waiting, False on an error: the WAL must be emptied even then."""
        try:
            while self._sweep():
                if closing or self._write_waits():
                    return None
        except Exception:  # noqa: BLE001 - as above
            self._not_before = time.monotonic() + self._pace.after_fault
            _log.exception("deleting the remaining rows of removed documents in %s failed; it is retried", self._path)
            return False
        return True

    def _is_short(self) -> bool:
        """Whether emptying the WAL is quick. A long one is first checkpointed beside the writer and shortened."""
        if self._checkpoint is None and size(log_path(self._path)) > SHORT:
            self._checkpoint = Checkpoint(self._path)
        if self._checkpoint is None:
            return True
        if self._checkpoint.is_running:
            return False
        ended, self._checkpoint = self._checkpoint, None
        if not ended.end():
            return False
        let_checkpoint(self._connection)
        return shorten(self._path, self._connection, self._write_waits)

    def _clean_thoroughly(self) -> None:
        done, begun = False, time.monotonic()
        let_grow(self._connection)  # else the next job's commit would checkpoint all that is written here
        try:
            if not value(self._connection, _OWED):  # the transaction that deleted something was rolled back
                self._owed = False
                return
            done = rewrite_file(self._path, self._connection, self._write_waits, _DONE)
        except (apsw.Error, OSError, StoreFull) as error:
            self._not_before = time.monotonic() + self._pace.after_fault
            if not self._warned:
                _log.warning("deleted words cannot be wiped from %s yet; this is retried: %s", self._path, error)
            self._warned = True
        else:
            self._warned = False
            self._interrupted = 0 if done else self._interrupted + 1
            self._rested_at = time.monotonic() + self._pace.rests * (time.monotonic() - begun) * done
        finally:
            if not done:
                let_checkpoint(self._connection)
        self._owed = not done
        self._dirty = True  # the WAL has grown, whatever the outcome
        self._quiet_since = time.monotonic()
        if not self._write_waits():
            self._scrub()
