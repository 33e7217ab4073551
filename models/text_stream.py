"""From the bytes of single tokens to text that can be shown. Pure.

Rule: what is given out is never taken back. A character cut by a token border waits for its rest, and a tail that may
be the beginning of a stop string waits until it is decided.
"""

import codecs
from collections.abc import Sequence


class TextStream:
    """Collects one answer's bytes; gives out text without cut characters and without stop strings."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(text for text in stop if text)
        self._longest = max((len(text) for text in self._stop), default=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._given = 0
        self.stopped = False

    @property
    def given(self) -> int:
        """Characters given out."""
        return self._given

    @property
    def known(self) -> int:
        """Characters given out or held back; those still cut are not counted."""
        return self._given + len(self._held)

    def feed(self, piece: bytes) -> str:
        """The text that `piece` completes; sets `stopped` when a stop string was met."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """What was still held back when the answer ended for another reason."""
        text = self._release(self._decoder.decode(b"", final=True))
        self._given += len(self._held)
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
            given, self._held = self._held[: min(found)], ""
            self._given += len(given)
            return given
        keep = self._open_tail()
        given, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        self._given += len(given)
        return given

    def _open_tail(self) -> int:
        """Length of the longest end of the held text that a stop string begins with."""
        for length in range(min(len(self._held), self._longest - 1), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0
