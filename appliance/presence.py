"""Whether the library's folder is there, or only the place where its disk is mounted at other times.

While it is away nothing is deleted, and no document's attempts are spent on it. A disk may come back under another
number, as a USB disk or a share that is mounted anew does, or its files on another disk, from a backup. What is found on
another disk than before is taken for the library if most of the known documents stand in it: neither an empty place nor
what somebody put into it meanwhile makes the others look deleted. Whoever means other files to be the library from now
on says so (`accept`). On the disk that most documents were last seen on, files that are gone were deleted.
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping

from appliance.errors import DocentError
from appliance.library import Library

_log = logging.getLogger(__name__)


class Presence:
    """Looks at the folder whenever asked; thread-safe, as each look stands for itself."""

    def __init__(self, library: Library, known: Callable[[], Collection[bytes]]) -> None:
        """`known()` gives the paths of all documents."""
        self._library = library
        self._known = known
        self._device = self._found()
        self._is_another = False
        self.last = self._device is not None
        """What the last look said."""

    def begin(self, devices: Mapping[bytes, int]) -> bool:
        """Whether what is there at the start is the library whose documents, by path, were last seen on these devices."""
        there = self._found()
        same = sum(device == there for device in devices.values())
        self._is_another = 2 * same < len(devices) and not self._holds_documents()
        self._device = None if self._is_another else there
        self.last = self._device is not None
        return self.last

    def accept(self) -> bool:
        """Take what is there now for the library, whatever it holds; whether anything is there."""
        self._device, self._is_another = self._found(), False
        self.last = self._device is not None
        return self.last

    def there(self) -> bool:
        """Whether the folder is there, on the disk on which it was last seen, or with its documents on another."""
        self.last = self._look()
        return self.last

    def _look(self) -> bool:
        device = self._found()
        if device is None:
            return False
        if self._device is None and not self._is_another:
            self._device = device
        if device != self._device and self._holds_documents() and self._found() == device:
            _log.info("the library is on another disk than before, with its documents")
            self._device = device
        return device == self._device

    def _holds_files(self) -> bool:
        return any(True for _ in self._library.walk())

    def _holds_documents(self) -> bool:
        """Whether files are there, most of the known documents among them."""
        if not self._holds_files():
            return False
        try:
            known = self._known()
        except DocentError as error:
            _log.warning("%s; %s", error, error.hint)
            return False
        standing = sum(os.path.lexists(self._library.absolute(path)) for path in known)
        return 2 * standing >= len(known)

    def _found(self) -> int | None:
        try:
            return self._library.device()
        except OSError:
            return None
