"""Watches the library folder: a thread that turns events and scans into `Changes`. The only importer of watchdog.

Events only hint at where to look. What is reported comes from scanning (`folder_scan`) and waiting (`stability`), so a
lost or spurious event does no harm. inotify loses events; a full scan at the start and every `rescan_s` finds what it
lost. On network file systems, which inotify does not see, there are only scans.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from ingest.watching.folder_scan import FolderScan, entry_at, is_folder, is_network, is_passed_over, scan
from ingest.watching.ignored_names import is_ignored
from ingest.watching.stability import Changes, EntryKind, Settled, Stability

__all__ = ["Changes", "EntryKind", "Settled", "Watcher"]

_log = logging.getLogger(__name__)
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
# Chosen by eye.
_POLL_NETWORK_SECONDS = 10.0  # between scans where inotify sees nothing
_TICK_SECONDS = 0.25
_PRESENCE_SECONDS = 5.0  # between checks that the folder is still there
_MANY_HINTS = 1000  # more of them lead to one full scan


class Watcher:
    """Watches the tree below `root` and calls `on_change` from its own thread: `start()`, then `stop()`.

    Paths are relative to `root`. If `on_change` raises, its changes are reported again later. While the folder is
    missing, or its file system is not mounted, nothing is reported. It counts as back once it is on its file system
    again, or on another one that has files; then everything is scanned. `there()` can veto that it is back.
    """

    def __init__(
        self,
        root: bytes | os.PathLike[str],
        *,
        settle_s: float,
        rescan_s: float,
        on_change: Callable[[Changes], None],
        there: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = os.fsencode(root)
        self._on_change = on_change
        self._there = there
        self._clock = clock
        self._tick_s = min(_TICK_SECONDS, settle_s / 2)
        self._configured_rescan_s = self._rescan_s = rescan_s
        self._device: int | None = None  # only touched by the watcher's thread, as are the next three
        self._missing = False
        self._stability = Stability(settle_s)
        self._scanned_at: float | None = None
        self._lock = threading.Lock()
        self._hints: set[bytes] = set()  # guarded by _lock
        self._rescan = True  # guarded by _lock
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._observer: Any = None  # touched by the watcher's thread while that runs
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Start with a full scan. Without inotify (no watches left) scans continue, more often."""
        self._start_observing()
        self._thread.start()

    def stop(self) -> None:
        """End both threads, after a running `on_change` has returned."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._stop_observing()

    def unsettled(self) -> int:
        """Number of files that have been seen but have not settled. From any thread."""
        return self._stability.pending

    def rescan(self) -> None:
        """Scan everything soon. From any thread."""
        with self._lock:
            self._rescan = True
        self._wake.set()

    def hint(self, path: bytes) -> None:
        """Look at `path`, relative to the root, soon, unless its name is ignored. From any thread."""
        if is_ignored(path):
            return
        with self._lock:
            self._hints.add(path)
        self._wake.set()

    def step(self) -> None:
        """Do one round: scan where events point, or everything, and report what is certain.

        The body of the thread's loop; tests call it directly.
        """
        now = self._clock()
        with self._lock:
            hints, self._hints = self._hints, set()
            rescan, self._rescan = self._rescan, False
        if not self._is_there():
            return
        overdue = self._scanned_at is None or now - self._scanned_at >= self._rescan_s
        if rescan or overdue or len(hints) > _MANY_HINTS:
            self._scan_all(now)
            self._look({path for path in hints if is_passed_over(path)}, now)
        else:
            self._look(hints, now)
        if self._current_device() != self._device:
            self._missing = True  # it disappeared during the scan, so nothing of that scan may be reported
            return
        for path in hints:
            self._stability.touched(path, now)
        for path in self._stability.due(now):
            self._stability.observe(path, entry_at(self._root, path), now)
        self._report(self._stability.changes(now))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            waiting = self._stability.waiting and not self._missing
            wait = self._tick_s if waiting else min(self._rescan_s, _PRESENCE_SECONDS)
            if self._wake.wait(wait):
                # Events come in bursts; one round serves them all.
                self._stopping.wait(self._tick_s / 2)
                self._wake.clear()

    def _report(self, changes: Changes) -> None:
        if not changes:
            return
        try:
            self._on_change(changes)
        except Exception:  # noqa: BLE001  # the thread must survive whatever its caller does
            _log.exception("reporting changes failed; they are reported again")
            self._stability.forget(changes)
            self.rescan()

    def _scan_all(self, now: float) -> None:
        self._scanned_at = now
        found = scan(self._root)
        if found.unreadable:
            _log.warning("%d folders in the library cannot be read", len(found.unreadable))
        self._stability.observe_all(found.entries, now, found.unseen)

    def _is_there(self) -> bool:
        """Whether the library is there. If it is back, it is scanned and observed anew before anything is reported."""
        device = self._current_device()
        if device is None:
            if not self._missing:
                shown = os.fsdecode(self._root)
                _log.warning("the library %s is missing or not mounted; no document counts as deleted", shown)
            self._missing = True
            return False
        if self._missing or self._device not in (None, device):
            _log.info("the library %s is back: scanning all of it", os.fsdecode(self._root))
            self._missing = False
            self._scanned_at = None
            if self._thread.is_alive():
                self._stop_observing()
                self._start_observing()
        self._device = device
        return True

    def _current_device(self) -> int | None:
        """The device number of the file system that the library is on; None while it is missing."""
        try:
            device = os.stat(self._root).st_dev  # bytes
        except OSError:
            return None
        if not self._there() or (self._device not in (None, device) and not scan(self._root).entries):
            return None
        return device

    def _look(self, paths: set[bytes], now: float) -> None:
        """Look at these paths, into those that are folders, and at the known contents of folders that are gone."""
        within, folders = FolderScan(), set()
        for path in paths:
            here = entry_at(self._root, path)
            if is_folder(self._root, path):
                within.add(scan(self._root, path))
                folders.add(path)
            elif here is None and not self._stability.is_file(path) and not self._exists(path):
                folders.add(path)
            self._stability.observe(path, here, now)  # a document may have had the name of a folder
        for path in self._stability.under(folders):
            if path not in within.entries and not within.unseen(path):
                self._stability.observe(path, None, now)
        for path, entry in within.entries.items():
            self._stability.observe(path, entry, now)

    def _exists(self, path: bytes) -> bool:
        return os.path.lexists(os.path.join(self._root, path))

    def _start_observing(self) -> None:
        """Start receiving events. Where they are incomplete, scan more often."""
        self._rescan_s = min(self._configured_rescan_s, _POLL_NETWORK_SECONDS)
        if is_network(self._root):
            return
        observer: Any = Observer()
        place = os.path.realpath(self._root)  # inotify does not follow links, and the library may be one
        try:
            observer.schedule(_Hints(self, place), os.fsdecode(place), recursive=True, event_filter=_EVENTS)
            observer.start()
        except OSError as error:
            _log.warning("watching by inotify failed (%s); scanning every %s s instead", error, _POLL_NETWORK_SECONDS)
            return
        self._rescan_s = self._configured_rescan_s
        self._observer = observer

    def _stop_observing(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None


class _Hints(FileSystemEventHandler):
    """Passes the paths of each event on, relative to the observed folder."""

    def __init__(self, watcher: Watcher, place: bytes) -> None:
        self._watcher = watcher
        self._prefix = place.rstrip(b"/") + b"/"

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by the observer's thread."""
        for place in (event.src_path, event.dest_path):
            path = os.fsencode(place)
            if path.startswith(self._prefix):
                self._watcher.hint(path[len(self._prefix) :])
