"""Watches SQLite's write-ahead log from outside: when it is written, and whether it ends inside a transaction.

Format: sqlite.org/walformat.html. Never opens the database.
"""

import os
import struct
import time
from pathlib import Path

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")


def wait_for_write(log: Path, seconds: float) -> bool:
    """Returns True as soon as the log is written, False on timeout. Keeps a core busy meanwhile."""
    before = _stamp(log)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _stamp(log) != before:
            return True
    return False


def ends_inside_a_transaction(log: Path) -> bool:
    """Whether the newest frames belong to a transaction that has no commit."""
    with log.open("rb") if log.exists() else open(os.devnull, "rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        _, _, page_size, _, *salts, _, _ = _HEADER.unpack(header)
        open_frames = 0
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            _, pages_after_commit, *frame_salts, _, _ = _FRAME.unpack(frame)
            if frame_salts != salts:
                break  # a leftover from before the log was restarted
            open_frames = 0 if pages_after_commit else open_frames + 1
            file.seek(page_size, os.SEEK_CUR)
        return open_frames > 0


def _stamp(log: Path) -> tuple[int, int]:
    try:
        found = os.stat(log)
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
