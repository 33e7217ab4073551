"""The one seam where SQLite's errors become Docent's.

What is covered: everything that apsw raises while a connection is opened, read or written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from appliance.errors import DocentError, NotReady, StoreCorrupt, StoreError, StoreFull, StoreRefused

# What a full disk looks like before a page could be written: the shared-memory file cannot grow.
_NO_ROOM = {apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMOPEN}


@contextmanager
def translated(path: Path, what: str) -> Iterator[None]:
    """Raise Docent's error for any error of SQLite on the database at `path`; `what` says what was attempted."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error, path, what) from error


def translate(error: apsw.Error, path: Path, what: str) -> DocentError:
    """Docent's error for one of SQLite's."""
    what = f"{what} {path}"
    detail = str(error)
    match error:
        case apsw.FullError():
            return StoreFull(what, f"no space left on the disk ({detail})", f"free space on the disk of {path.parent}")
        case apsw.IOError() if getattr(error, "extendedresult", 0) in _NO_ROOM:
            return StoreFull(what, f"no space left on the disk ({detail})", f"free space on the disk of {path.parent}")
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return StoreFull(
                what, f"it cannot be written ({detail})", f"give the service's user write access to {path.parent}"
            )
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreCorrupt(
                what,
                f"the file is damaged ({detail})",
                f"stop Docent, restore a backup or move {path} away; without it the whole library is read again",
            )
        case apsw.CantOpenError():
            return StoreError(
                what,
                f"it cannot be opened ({detail})",
                f"check that {path.parent} exists, is writable for the service's user and has room",
            )
        case apsw.BusyError() | apsw.LockedError():
            return StoreError(what, "another process holds it", "stop the other process that has the file open")
        case apsw.InterruptError():
            return NotReady(what, "the service is stopping", "try again when it runs")
        case apsw.ConstraintError() | apsw.TooBigError() | apsw.MismatchError():
            return StoreRefused(
                what, f"it does not fit what is there ({detail})", "`docent doctor` checks the database"
            )
        case apsw.IOError():
            return StoreError(what, f"the disk reported an error ({detail})", "look at the kernel's log (dmesg)")
        case _:
            return StoreError(what, detail, "`docent doctor` checks the database")
