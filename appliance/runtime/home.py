"""Makes the service's folders, its lock and its socket: created before anything else starts, released last.

The lock is an flock, so it ends with the process however that ends; the lock file stays behind and means nothing.
"""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.config.places import MAX_SOCKET_PATH, Places
from appliance.errors import AlreadyRunning, ConfigError, DocentError, StoreFull

SOCKET_MODE = 0o660
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def make_folders(places: Places) -> None:
    """Create the missing folders of the home; existing ones keep their owner and mode.

    Raises:
        ConfigError: a folder cannot be made.
        StoreFull: the disk is full or read-only.
    """
    for folder in (places.home, places.library, places.models, places.adapters, places.socket.parent):
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise _folder_error(folder, error) from error


def _folder_error(folder: Path, error: OSError) -> DocentError:
    what = f"making the folder {folder}"
    why = error.strerror or str(error)
    if error.errno in _FULL:
        return StoreFull(what, why, "free some space on that disk, or make it writable, then start again")
    return ConfigError(what, why, "choose another DOCENT_HOME, or give this user the right to write there")


@contextmanager
def locked(places: Places) -> Iterator[None]:
    """Lock this home for the time of the block.

    Raises:
        AlreadyRunning: another service owns it.
        StoreFull, ConfigError: the lock file cannot be made.
    """
    try:
        descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise _folder_error(places.lock, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"starting on {places.home}",
                "another Docent service is running on this home",
                "use it (`docent status`), stop it first, or set another DOCENT_HOME",
            ) from None
        yield
    finally:
        os.close(descriptor)


def check_socket_path(path: Path) -> None:
    """Raise `ConfigError` if the path is longer than a Unix socket's may be."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        why = f"the path has {len(os.fsencode(path))} bytes, and Linux allows {MAX_SOCKET_PATH}"
        hint = "set a shorter DOCENT_HOME, or DOCENT_SOCKET to a shorter path"
        raise ConfigError(f"opening the socket {path}", why, hint)


@contextmanager
def bound_socket(path: Path) -> Iterator[socket.socket]:
    """A Unix socket of mode 0660, bound and ready to listen; on leaving, its file is removed if it is still this one.

    Replaces a stale socket file, nothing else.

    Raises:
        AlreadyRunning: a service of another home answers on it.
        ConfigError: the path is too long, holds something that is not a socket, or cannot be bound.
    """
    check_socket_path(path)
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            previous = os.umask(0o777 & ~SOCKET_MODE)  # not more accessible than that even for a moment
            try:
                listener.bind(os.fsencode(path))
            finally:
                os.umask(previous)
            bound = _identity(path)
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(f"opening the socket {path}", why, "check the folder's owner and mode") from error
        try:
            yield listener
        finally:
            if _identity(path) == bound:
                path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None if there is no such file."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _remove_stale(path: Path) -> None:
    what = f"opening the socket {path}"
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(what, "a file that is not a socket has this name", "move that file away")
    if _is_answered(path):
        why = "a Docent service of another home answers there"
        raise AlreadyRunning(what, why, "stop that service first, or set another DOCENT_SOCKET")
    path.unlink(missing_ok=True)


def _is_answered(path: Path) -> bool:
    """Whether a process listens on the socket. Connecting to a Unix socket never waits for an answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(os.fsencode(path))
        except BlockingIOError:  # its queue is full
            return True
        except OSError:
            return False
    return True
