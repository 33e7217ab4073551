"""Explains why the socket does not answer and what to do."""

import os
from pathlib import Path

import httpx2

from appliance.config.places import MAX_SOCKET_PATH, SYSTEM_RUNTIME
from appliance.errors import ServiceUnreachable

_UNIT_FOLDERS = [Path(root) / "systemd" / "system" for root in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")]


def log_hint(socket: Path) -> str:
    """Say where to find the log of the service on `socket`."""
    if _under_systemd(socket):
        return "see the service's log: `journalctl -u docent`"
    return "see the service's log, which `docent serve` writes to its stderr"


def _under_systemd(socket: Path) -> bool:
    """Whether systemd runs the service on this socket: the unit is installed, and the socket is the unit's."""
    return socket.parent == SYSTEM_RUNTIME and any((folder / "docent.service").exists() for folder in _UNIT_FOLDERS)


def unreachable(socket: Path, error: Exception) -> ServiceUnreachable:
    """Turn a failed connection into an error that says why, and what to do."""
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
        return ServiceUnreachable(what, "it did not reply in time", log_hint(socket))
    return ServiceUnreachable(what, "the connection was lost", log_hint(socket))


def _cannot_connect(socket: Path, what: str) -> ServiceUnreachable:
    start = f"start it: {'`sudo systemctl start docent`' if _under_systemd(socket) else '`docent serve`'}"
    try:
        socket.stat()
    except PermissionError:
        return _may_not_connect(what)
    except OSError:
        elsewhere = "if a service runs on another home, set the same DOCENT_HOME here"
        return ServiceUnreachable(what, "the service is not running: there is no socket", f"{start}; {elsewhere}")
    if not _may_write(socket):
        return _may_not_connect(what)
    return ServiceUnreachable(what, "the service is not running: the socket does not answer", start)


def _may_not_connect(what: str) -> ServiceUnreachable:
    hint = "ask an administrator to add you to the group: `sudo usermod -aG docent $USER`; then log in again"
    return ServiceUnreachable(what, "you are not allowed to: only members of its group may connect", hint)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK)
