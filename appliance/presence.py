"""Whether the library's folder is there, or only the empty place where its disk is mounted at other times.

While it is away nothing is deleted, and no document's attempts are spent on it. A disk may come back under another
number, as a USB disk or a share that is mounted anew does. It is taken for the library again if most of the known
documents stand on it: what is put into the empty place meanwhile does not make the others look deleted. Whoever means
another disk to be the library from now on starts the service again, which takes whatever files it finds.
"""

import logging
import os
from collections.abc import Callable, Collection

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
        self._empty_place: int | None = None
        self.last = self._device is not None
        """What the last look said."""

    def is_not(self) -> None:
        """What is there now is not the library: it is away until another disk is there, or a file in the folder."""
        self._empty_place = self._found()
        self._device = None
        self.last = False

    def there(self) -> bool:
        """Whether the folder is there, on the disk on which it was last seen, or with its documents on another."""
        self.last = self._look()
        return self.last

    def _look(self) -> bool:
        device = self._found()
        if device is None:
            return False
        if self._empty_place is not None:
            if device == self._empty_place and not self._holds_files():
                return False
            self._empty_place = None
        if self._device is None:
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
