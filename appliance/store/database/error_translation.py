"""The one seam where SQLite's errors become Docent's.

What is covered: everything that apsw raises while a connection is opened, read or written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from appliance.errors import DocentError, NotReady, StoreCorrupt, StoreError, StoreFull, StoreRefused

# A full disk may show up before any page is written: the shared-memory file cannot grow.
_NO_ROOM = {apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMOPEN}


@contextmanager
def translated(path: Path, what: str) -> Iterator[None]:
    """Turn SQLite's errors on the database at `path` into Docent's; `what` is what was attempted."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error, path, what) from error


def translate(error: apsw.Error, path: Path, what: str) -> DocentError:
    """Docent's error for an error of SQLite."""
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
                f"stop Docent, then restore a backup of {path} or move it away; without it,"
                " Docent reads the whole library again",
            )
        case apsw.CantOpenError():
            return StoreError(
                what,
                f"it cannot be opened ({detail})",
                f"check that {path.parent} exists, is writable for the service's user and has room",
            )
        case apsw.BusyError() | apsw.LockedError():
            return StoreError(what, "another process has the file open", "stop that process")
        case apsw.InterruptError():
            return NotReady(what, "the service is stopping", "try again once it is running")
        case apsw.ConstraintError() | apsw.TooBigError() | apsw.MismatchError():
            return StoreRefused(
                what, f"it does not fit what is there ({detail})", "`docent doctor` checks the database"
            )
        case apsw.IOError():
            return StoreError(
                what, f"the disk reported an error ({detail})", "check the kernel's log (`dmesg`) for disk errors"
            )
        case _:
            return StoreError(what, detail, "`docent doctor` checks the database")
