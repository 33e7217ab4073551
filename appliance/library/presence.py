"""Tells a mounted library from an empty mount point.

While the library is not available, nothing is deleted and no document's attempts are spent on it. A disk may come back
under another device number, as a remounted USB disk or share does, or its files may come back on another disk, from a
backup. What is found on another device counts as the library if most of the known documents are in it. So neither an
empty mount point nor files put into it meanwhile make the documents look deleted. If other files are to be the library
from now on, an administrator says so (`accept`). On the device that most documents were last seen on, files that are
missing were deleted.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from appliance.errors import DocentError
from appliance.library.folder import Library, Place

_log = logging.getLogger(__name__)

REFUSED_SECONDS = 10.0
"""How long a folder that is not the library is not searched again, unless it changes.

With 20,000 documents and a stray file in the mount point, a search costs 0.4 s. Chosen by eye.
"""


class Presence:
    """Whether the library is there now; from any thread."""

    def __init__(
        self,
        library: Library,
        known: Callable[[], Collection[bytes]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known()` returns the paths of all documents."""
        self._library = library
        self._known = known
        self._clock = clock
        self._lock = threading.Lock()
        found = self._found()
        self._home = found.device if found else None  # the library's device, where known; guarded by _lock
        self._refused: tuple[Place, float] | None = None  # what is not the library, and since when; guarded by _lock
        self.last = found is not None
        """The result of the last check."""
        self.returns = 0
        """How often the library has come back. What happened to it meanwhile was not reported."""

    def begin(self, devices: Mapping[bytes, int]) -> bool:
        """Check at the start, against the devices on which the documents, by path, were last seen."""
        with self._lock:
            most = Counter(devices.values()).most_common(1)
            self._home = most[0][0] if most else None
            self.last = False
            self.last = self._check()
            return self.last

    def accept(self) -> bool:
        """Make the folder that is there now the library, whatever it holds; returns whether there is one."""
        with self._lock:
            found = self._found()
            self._home = found.device if found else self._home
            self.last = found is not None
            return self.last

    def there(self) -> bool:
        """Whether the folder is there, on the device where it was last seen, or with its documents on another."""
        with self._lock:
            before, self.last = self.last, self._check()
            self.returns += self.last and not before
            return self.last

    def _check(self) -> bool:
        place = self._found()
        if place is None:
            return False
        if self._home is None:  # no document is known, so none can look deleted
            self._home = place.device
            return True
        if place.device == self._home:
            return True
        if self._refused is not None and self._refused[0] == place:
            since = self._clock() - self._refused[1]
            if 0 <= since < REFUSED_SECONDS:
                return False
        if not self._is_library() or (again := self._found()) is None or again.device != place.device:
            self._refused = (place, self._clock())
            return False
        _log.info("the library is on another disk than before, with its documents")
        self._home = place.device
        return True

    def _is_library(self) -> bool:
        """Whether the folder, on another device, holds the library's documents."""
        try:
            known = self._known()
        except DocentError as error:
            _log.warning("%s; %s", error, error.hint)
            return False
        return self._most_exist(known) and (bool(known) or any(True for _ in self._library.walk()))

    def _most_exist(self, known: Collection[bytes]) -> bool:
        """Whether at least half of the documents' paths exist; stops as soon as that is certain."""
        needed, left = (len(known) + 1) // 2, len(known)
        for path in known:
            if not 0 < needed <= left:
                break
            needed -= os.path.lexists(self._library.absolute(path))
            left -= 1
        return needed <= 0

    def _found(self) -> Place | None:
        try:
            return self._library.place()
        except OSError:
            return None
