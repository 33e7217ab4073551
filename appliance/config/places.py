"""Finds state, socket and configuration file.

Under systemd they are in `$STATE_DIRECTORY`, `$RUNTIME_DIRECTORY` and `/etc/docent/docent.toml`; else all in
`$DOCENT_HOME`; else in the XDG folders.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_SOCKET_PATH = 107
"""Longest path of a Unix socket on Linux in bytes, without the terminating zero."""
SYSTEM_STATE = Path("/var/lib/docent")
SYSTEM_RUNTIME = Path("/run/docent")
SYSTEM_CONFIG = Path("/etc/docent/docent.toml")


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one installation."""

    home: Path
    socket: Path
    config: Path

    @property
    def library(self) -> Path:
        """The watched folder."""
        return self.home / "library"

    @property
    def models(self) -> Path:
        """Installed GGUF models."""
        return self.home / "models"

    @property
    def adapters(self) -> Path:
        """Installed LoRA adapters."""
        return self.home / "adapters"

    @property
    def database(self) -> Path:
        """The SQLite index."""
        return self.home / "docent.db"

    @property
    def lock(self) -> Path:
        """Locked by the one service that owns this home."""
        return self.home / "docent.lock"


def find_places(environment: Mapping[str, str] = os.environ) -> Places:
    """Find the places of this process's Docent.

    A client without `DOCENT_HOME`, and without a socket or data in its user's folders, uses the system's service.
    """
    if state := environment.get("STATE_DIRECTORY"):
        runtime = Path(environment.get("RUNTIME_DIRECTORY") or SYSTEM_RUNTIME)
        places = Places(Path(state), runtime / "docent.sock", SYSTEM_CONFIG)
    elif home := environment.get("DOCENT_HOME"):
        root = Path(home).absolute()
        places = Places(root, root / "docent.sock", root / "docent.toml")
    else:
        places = _user_places(environment)
    return Places(
        places.home,
        Path(environment.get("DOCENT_SOCKET") or places.socket),
        Path(environment.get("DOCENT_CONFIG") or places.config),
    )


def _user_places(environment: Mapping[str, str]) -> Places:
    user_home = Path(environment.get("HOME") or "~").expanduser()
    data = Path(environment.get("XDG_DATA_HOME") or user_home / ".local/share") / "docent"
    config = Path(environment.get("XDG_CONFIG_HOME") or user_home / ".config") / "docent" / "docent.toml"
    runtime = environment.get("XDG_RUNTIME_DIR")
    socket = (Path(runtime) / "docent" if runtime else data) / "docent.sock"
    if not socket.exists() and not data.exists() and SYSTEM_STATE.exists():
        return Places(SYSTEM_STATE, SYSTEM_RUNTIME / "docent.sock", SYSTEM_CONFIG)
    return Places(data, socket, config)
