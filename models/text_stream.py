"""Turns the bytes of single tokens into text that can be shown. Pure.

Rule: text that was released is never taken back. A character split between tokens waits for its other bytes, and a tail
that may begin a stop string waits until that is decided.
"""

import codecs
from collections.abc import Sequence


class TextStream:
    """Decodes the bytes of one answer. Releases whole characters only, and no stop string."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(text for text in stop if text)
        self._longest = max((len(text) for text in self._stop), default=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._released = 0
        self.stopped = False

    @property
    def released(self) -> int:
        """Characters released so far."""
        return self._released

    @property
    def known(self) -> int:
        """Characters released or held back; an incomplete one is not counted."""
        return self._released + len(self._held)

    def feed(self, piece: bytes) -> str:
        """Returns the text that `piece` completes. Sets `stopped` at a stop string."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """Returns the text still held back, when the answer ends without a stop string."""
        text = self._release(self._decoder.decode(b"", final=True))
        self._released += len(self._held)
        text += self._held
        self._held = ""
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped = True
            released, self._held = self._held[: min(found)], ""
            self._released += len(released)
            return released
        keep = self._open_tail()
        released, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        self._released += len(released)
        return released

    def _open_tail(self) -> int:
        """Characters in the longest tail of the held text that a stop string begins with."""
        for length in range(min(len(self._held), self._longest - 1), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0
