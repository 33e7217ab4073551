"""Mounts a small ext4 disk from a file and makes it fail: full, read-only after an error, or cut off from power.

Needs root, loop devices and e2fsprogs. The kernel itself raises the error (`trigger_fs_error`, with
`errors=remount-ro`): from then on the disk is read-only, even for open files, until it is unmounted and checked. ext4
itself cuts the power (`EXT4_IOC_SHUTDOWN` without flushing the journal): data that was not synced is lost.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSH = 2
_BLOCK = 1 << 20


def unavailable_because() -> str:
    """The reason why no such disk can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    missing = [tool for tool in ("mkfs.ext4", "e2fsck", "mount", "umount", "losetup") if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)} is not installed"
    if subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode:
        return "there is no loop device"
    return ""


class SmallDisk:
    """The disk, mounted at `path`. Processes that use it must have ended before `replug`."""

    def __init__(self, image: Path, path: Path) -> None:
        self.path = path
        self._image = image

    def fill(self) -> None:
        """Leaves no byte free."""
        with (self.path / "filler").open("wb", buffering=0) as filler:
            for size in (_BLOCK, 4096, 1):
                with contextlib.suppress(OSError):
                    while filler.write(b"\0" * size):
                        pass

    def free(self) -> None:
        """Undoes `fill`."""
        (self.path / "filler").unlink()

    def fail(self) -> None:
        """Triggers an error that makes the kernel remount the disk read-only."""
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.path], capture_output=True, text=True, check=True)
        name = Path(device.stdout.strip()).name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("x")

    def cut(self) -> None:
        """Cuts the power: nothing more reaches the disk, and unsynced data is lost."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(folder)

    def replug(self) -> None:
        """Unmounts the disk, checks it as at boot, and mounts it again.

        Raises:
            OSError: it could not be repaired.
        """
        subprocess.run(["umount", self.path], check=True)
        checked = subprocess.run(["e2fsck", "-p", self._image], capture_output=True, text=True, check=False)
        if checked.returncode > 1:  # 1: errors were corrected
            raise OSError(f"e2fsck: {checked.stdout}{checked.stderr}")
        self.mount()

    def remount(self, how: str) -> None:
        """Remounts as `ro` or `rw`; no file on it may be open."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True)

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop,errors=remount-ro", self._image, self.path], check=True)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mounts a disk of `size` bytes at `folder / "disk"` until the block ends."""
    image, path = folder / "disk.img", folder / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    disk = SmallDisk(image, path)
    disk.mount()
    try:
        yield disk
    finally:
        subprocess.run(["umount", path], check=True)
        image.unlink()
