"""Whether the library's folder is there, or only the empty place where its disk is mounted at other times.

While it is away nothing is deleted, and no document's attempts are spent on it.
"""

import os

from appliance.library import Library


class Presence:
    """Looks at the folder whenever asked; thread-safe, as each look stands for itself."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._device = self._found()
        self._empty_place: int | None = None

    def is_not(self) -> None:
        """What is there now is not the library: it is away until another disk is there, or something in the folder."""
        self._empty_place = self._found()
        self._device = None

    def there(self) -> bool:
        """Whether the folder is there, on the disk on which it was first seen."""
        device = self._found()
        if device is None:
            return False
        if self._empty_place is not None:
            if device == self._empty_place and not os.listdir(self._library.root):
                return False
            self._empty_place = None
        if self._device is None:
            self._device = device
        return device == self._device

    def _found(self) -> int | None:
        try:
            return self._library.device()
        except OSError:
            return None
