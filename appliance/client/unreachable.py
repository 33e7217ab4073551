"""Why nobody answers on a socket, in words of what to do about it."""

import os
from pathlib import Path

import httpx2

from appliance.config.places import MAX_SOCKET_PATH, SYSTEM_RUNTIME
from appliance.errors import ServiceUnreachable

_UNIT_FOLDERS = [Path(root) / "systemd" / "system" for root in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")]


def log_hint(socket: Path) -> str:
    """Where the log of the service on `socket` is."""
    if _under_systemd(socket):
        return "see the service's log: `journalctl -u docent`"
    return "see the service's log, which `docent serve` writes to its stderr"


def _under_systemd(socket: Path) -> bool:
    """Whether systemd runs the service of this socket: it has the unit, and the socket is the unit's."""
    return socket.parent == SYSTEM_RUNTIME and any((folder / "docent.service").exists() for folder in _UNIT_FOLDERS)


def unreachable(socket: Path, error: Exception) -> ServiceUnreachable:
    """Why the socket does not answer, in words of what to do."""
    what = f"talking to the service on {socket}"
    if len(str(socket).encode()) > MAX_SOCKET_PATH:
        return ServiceUnreachable(
            what,
            f"the path is longer than the {MAX_SOCKET_PATH} bytes that Linux allows for a socket",
            "set a shorter DOCENT_HOME",
        )
    if isinstance(error, httpx2.ConnectError):
        return _cannot_connect(socket, what)
    if isinstance(error, httpx2.TimeoutException):
        return ServiceUnreachable(what, "no reply in time", log_hint(socket))
    return ServiceUnreachable(what, "the connection broke off", log_hint(socket))


def _cannot_connect(socket: Path, what: str) -> ServiceUnreachable:
    start = f"start it: {'`sudo systemctl start docent`' if _under_systemd(socket) else '`docent serve`'}"
    try:
        socket.stat()
    except PermissionError:
        return _may_not_connect(what)
    except OSError:
        return ServiceUnreachable(what, "there is no socket; the service is not running", start)
    if not _may_write(socket):
        return _may_not_connect(what)
    return ServiceUnreachable(what, "nobody listens on it; the service is not running", start)


def _may_not_connect(what: str) -> ServiceUnreachable:
    hint = "an administrator can add you: `sudo usermod -aG docent $USER`; then log in again"
    return ServiceUnreachable(what, "you may not open it; it is for members of its group", hint)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK)
