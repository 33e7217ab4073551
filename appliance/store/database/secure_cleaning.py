"""Deleted words leave the file as well as the tables: at once as far as that is cheap, and thoroughly once it is quiet.

The rule: whoever deletes says so in the same transaction (`soil`). When the writer has nothing else to do it scrubs: it
does what large deletions have left over, gives free pages back in small steps and empties the write-ahead log. SQLite
leaves copies of rows in the unused part of a page when it balances pages, whatever `secure_delete` says, so a thorough
cleaning is owed then, over crashes too (`cleaning.owed`): once nobody has written for some seconds, the file is written
anew (`renewal`). Whoever wants to write breaks it off; it is tried again, later each time.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from appliance.errors import StoreFull
from appliance.store.database.connection import BUSY_MS, run, value
from appliance.store.database.file_rewrite import renew
from appliance.store.database.wal_checkpoints import (
    SHORT,
    Folding,
    keep_short,
    let_fold,
    let_grow,
    log_path,
    shorten,
    size,
)

_log = logging.getLogger(__name__)

_SOIL = "docent_soil"
_OWED = "SELECT owed FROM cleaning"
_DONE = "UPDATE cleaning SET owed = 0"
_FREED_PAGES = 256
_BUSY_MS = 50
_RETRY_SECONDS = 0.5
_LONGEST_QUIET_SECONDS = 3600.0
_MOST_DOUBLINGS = 12


def soil(connection: apsw.Connection) -> None:
    """Say, inside a job, that it deletes something that must not stay readable in the files."""
    run(connection, f"SELECT {_SOIL}()")
    run(connection, "UPDATE cleaning SET owed = 1 WHERE owed = 0")


@dataclass(frozen=True, slots=True)
class Pace:
    """When to clean, in seconds."""

    quiet: float = 3.0
    """Without a write before a thorough cleaning,"""
    quiet_per_100_mb: float = 3.0
    """and longer for a large file, by about what writing it anew takes."""
    after_fault: float = 30.0
    """Until what failed, on a full disk say, is tried again."""
    rests: float = 50.0
    """Times what a thorough cleaning took, until the next: who deletes all day must not wear out a disk with it."""

    def quiet_for(self, size: int, broken_off: int) -> float:
        """For a file of `size` bytes, after so many cleanings in a row that were broken off: twice as long after each."""
        quiet = self.quiet + self.quiet_per_100_mb * size / 1e8
        return min(quiet * 2.0 ** min(broken_off, _MOST_DOUBLINGS), max(quiet, _LONGEST_QUIET_SECONDS))


class Cleaner:
    """Cleans one database; only touched by the writer thread, whose connection this is."""

    def __init__(
        self,
        path: Path,
        connection: apsw.Connection,
        sweep: Callable[[], bool],
        somebody_waits: Callable[[], bool],
        pace: Pace,
    ) -> None:
        """`sweep` does some of what deletions have left to do, in a transaction, and tells whether there was anything."""
        self._path = path
        self._connection = connection
        self._sweep = sweep
        self._somebody_waits = somebody_waits
        self._pace = pace
        self._dirty = True  # a crash may have left a scrub undone
        self._owed = bool(value(connection, _OWED))
        self._not_before = 0.0
        self._quiet_since = time.monotonic()
        self._rested_at = 0.0
        self._broken_off = 0
        self._told = False
        self._folding: Folding | None = None
        connection.create_scalar_function(_SOIL, self._soil, 0)

    def wait(self) -> float | None:
        """Seconds until there is something to clean, if nobody writes before; None if there is nothing."""
        now = time.monotonic()
        if self._dirty:
            return max(_RETRY_SECONDS, self._not_before - now)
        if self._owed:
            quiet_until = self._quiet_since + self._pace.quiet_for(size(self._path), self._broken_off)
            return max(0.0, quiet_until - now, self._rested_at - now, self._not_before - now)
        return None

    def written(self) -> None:
        """A job is done: clean what it has deleted, if nobody waits."""
        self._quiet_since = time.monotonic()
        if self._dirty and not self._somebody_waits() and self._quiet_since >= self._not_before:
            self._survive(self._scrub)

    def idle(self) -> None:
        """The time of `wait` is over."""
        if self._dirty:
            self._survive(self._scrub)
        elif self._owed and not self.wait():
            self._survive(self._clean_thoroughly)

    def close(self, *, scrub: bool) -> None:
        """The writer ends; what is owed then is done after the next start."""
        if self._folding is not None:
            self._folding.end()
            self._folding = None
        if scrub and self._dirty:
            self._scrub(closing=True)

    def _soil(self, *_: object) -> None:
        self._dirty = self._owed = True

    def _survive(self, clean: Callable[[], None]) -> None:
        """Writing goes on whatever happens here."""
        try:
            clean()
        except Exception:  # noqa: BLE001 - the writer's thread must not end
            self._not_before = time.monotonic() + self._pace.after_fault
            _log.exception("cleaning %s failed, it is tried again", self._path)

    def _scrub(self, *, closing: bool = False) -> None:
        """Clean until done or until somebody wants to write; what is left is done at the next chance."""
        try:
            swept = self._swept(closing=closing)
            if swept is None:
                return
            while value(self._connection, "PRAGMA freelist_count"):
                run(self._connection, f"PRAGMA incremental_vacuum({_FREED_PAGES})")
                if self._somebody_waits():
                    return
            self._connection.set_busy_timeout(_BUSY_MS)
            if not (closing or self._is_short()):
                return
            self._dirty = bool(value(self._connection, "PRAGMA wal_checkpoint(TRUNCATE)")) or not swept
            keep_short(self._connection)
        except apsw.BusyError:
            pass  # a reader holds an older snapshot; the loop comes back
        except apsw.Error as error:
            self._not_before = time.monotonic() + self._pace.after_fault
            _log.warning("cleaning %s failed, it is tried again: %s", self._path, error)
        finally:
            self._connection.set_busy_timeout(BUSY_MS)

    def _swept(self, *, closing: bool) -> bool | None:
        """Whether all is swept; None if somebody waits. If it fails, the log must be emptied all the same."""
        try:
            while self._sweep():
                if closing or self._somebody_waits():
                    return None
        except Exception:  # noqa: BLE001 - as above
            self._not_before = time.monotonic() + self._pace.after_fault
            _log.exception("removing what is left of documents in %s failed, it is tried again", self._path)
            return False
        return True

    def _is_short(self) -> bool:
        """Whether emptying the log is quick; a long one is folded beside the writer and shortened before that."""
        if self._folding is None and size(log_path(self._path)) > SHORT:
            self._folding = Folding(self._path)
        if self._folding is None:
            return True
        if self._folding.is_running:
            return False
        folding, self._folding = self._folding, None
        if not folding.end():
            return False
        let_fold(self._connection)
        return shorten(self._path, self._connection, self._somebody_waits)

    def _clean_thoroughly(self) -> None:
        done, begun = False, time.monotonic()
        let_grow(self._connection)  # else the next job's commit would fold all that is written here
        try:
            if not value(self._connection, _OWED):  # the job that deleted something was undone
                self._owed = False
                return
            done = renew(self._path, self._connection, self._somebody_waits, _DONE)
        except (apsw.Error, OSError, StoreFull) as error:
            self._not_before = time.monotonic() + self._pace.after_fault
            if not self._told:
                _log.warning("deleted words cannot be wiped out of %s yet, it is tried again: %s", self._path, error)
            self._told = True
        else:
            self._told = False
            self._broken_off = 0 if done else self._broken_off + 1
            self._rested_at = time.monotonic() + self._pace.rests * (time.monotonic() - begun) * done
        finally:
            if not done:
                let_fold(self._connection)
        self._owed = not done
        self._dirty = True  # the log has grown, whatever became of it
        self._quiet_since = time.monotonic()
        if not self._somebody_waits():
            self._scrub()
