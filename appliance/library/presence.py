"""Whether the library's folder is there, or only the place where its disk is mounted at other times.

While it is away nothing is deleted, and no document's attempts are spent on it. A disk may come back under another
number, as a USB disk or a share that is mounted anew does, or its files on another disk, from a backup. What is found on
another disk than before is taken for the library if most of the known documents stand in it: neither an empty place nor
what somebody put into it meanwhile makes the others look deleted. Whoever means other files to be the library from now
on says so (`accept`). On the disk that most documents were last seen on, files that are gone were deleted.
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
"""For so long, what stands in the library's place and is not it is not looked through again, unless its folder changes."""


class Presence:
    """Looks at the folder whenever asked; from any thread."""

    def __init__(
        self,
        library: Library,
        known: Callable[[], Collection[bytes]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known()` gives the paths of all documents."""
        self._library = library
        self._known = known
        self._clock = clock
        self._lock = threading.Lock()
        found = self._found()
        self._home = found.device if found else None  # the library's disk, where known; guarded by _lock
        self._refused: tuple[Place, float] | None = None  # what is not the library, and since when; guarded by _lock
        self.last = found is not None
        """What the last look said."""
        self.returns = 0
        """How often the library has come back: what happened to it meanwhile was told by nobody."""

    def begin(self, devices: Mapping[bytes, int]) -> bool:
        """Whether what is there at the start is the library whose documents, by path, were last seen on these devices."""
        with self._lock:
            most = Counter(devices.values()).most_common(1)
            self._home = most[0][0] if most else None
            self.last = False
            self.last = self._look()
            return self.last

    def accept(self) -> bool:
        """Take what is there now for the library, whatever it holds; whether anything is there."""
        with self._lock:
            found = self._found()
            self._home = found.device if found else self._home
            self.last = found is not None
            return self.last

    def there(self) -> bool:
        """Whether the folder is there, on the disk on which it was last seen, or with its documents on another."""
        with self._lock:
            before, self.last = self.last, self._look()
            self.returns += self.last and not before
            return self.last

    def _look(self) -> bool:
        place = self._found()
        if place is None:
            return False
        if self._home is None:  # no document is known that could be taken for deleted
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
        """Whether what is there, on another disk, is the library by what it holds."""
        try:
            known = self._known()
        except DocentError as error:
            _log.warning("%s; %s", error, error.hint)
            return False
        return self._most_stand(known) and (bool(known) or any(True for _ in self._library.walk()))

    def _most_stand(self, known: Collection[bytes]) -> bool:
        """Whether at least half of the documents stand there by their paths; looked at until that is certain."""
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
