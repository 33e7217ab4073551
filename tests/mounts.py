"""Simulates a library whose disk changes, by a link to folders on different file systems: `stat` sees a mount."""

from pathlib import Path


class Mounts:
    """`library` leads to `first`; `mount` redirects it in one step, as mounting does."""

    def __init__(self, home: Path, other: Path) -> None:
        """`other` must be on another file system than `home`."""
        self.first = home / "first"
        self.first.mkdir()
        other.mkdir(exist_ok=True)
        self.other = other
        assert self.first.stat().st_dev != other.stat().st_dev
        self.library = home / "library"
        self.mount(self.first)

    def mount(self, folder: Path) -> None:
        link = self.library.with_name("link")
        link.symlink_to(folder)
        link.replace(self.library)
