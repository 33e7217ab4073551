"""Finds the folders of this process's cgroup, version 1 or 2, where the kernel keeps its limits and counters.

Inside a container only the mount itself may be visible, so callers treat a missing file as "no limit".
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

CGROUP_FILE: Final = Path("/proc/self/cgroup")
CGROUP_ROOT: Final = Path("/sys/fs/cgroup")


class Cgroup(NamedTuple):
    """One cgroup of this process. `folders`: its own, then each parent up to the mount."""

    version: int
    folders: tuple[Path, ...]


def cgroups_with(controller: str, file: Path = CGROUP_FILE, root: Path = CGROUP_ROOT) -> Iterator[Cgroup]:
    """Yield the cgroups that may limit `controller` ("cpu", "memory"), in the order of `file`."""
    for line in read_text(file).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield Cgroup(2, _upwards(root, path))
        elif controller in controllers.split(","):
            mount = next((m for m in (root / controllers, root / controller) if m.is_dir()), root / controller)
            yield Cgroup(1, _upwards(mount, path))


def read_text(path: Path) -> str:
    """The file's content; empty if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _upwards(mount: Path, path: str) -> tuple[Path, ...]:
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # the cgroup lies outside this namespace: only the mount is visible
        parts = []
    return tuple(mount.joinpath(*parts[:length]) for length in range(len(parts), -1, -1))
