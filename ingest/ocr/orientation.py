"""Finds which way up a picture's text is read best, by recognising it up to three times. Pure.

Layout analysis sees along which axis lines run. It takes horizontal lines to be upright, and vertical ones to run
downwards. So only the opposite way remains to try, and it shows by itself: read upside down, hardly a word has
confidence. Pages that are upright and legible are read once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ingest.protocol.page_columns import RawPage

MOST_READINGS = 3
CONFIDENT = 65
"""Confidence, of 100. The right way up, the worst legible scans had 75 or more; the wrong way, a few words had up to
53."""


@dataclass(frozen=True, slots=True)
class OrientationReading:
    """What was recognised in a picture the way it was passed in."""

    page: RawPage
    letters: int
    confidence: int
    """Mean over all letters, of 100, those of words left out included; 100 without letters."""
    sideways: bool
    """Whether most of its words are taller than wide."""
    turned: int = 0
    """Clockwise quarter turns of the picture before it was read; `page` is the turned page."""

    @property
    def is_confident(self) -> bool:
        """Whether it is the right way up, as far as confidence shows."""
        return self.confidence >= CONFIDENT


def read_upright(
    read: Callable[[bytes, int, int], OrientationReading], pixels: bytes, width: int, height: int
) -> OrientationReading:
    """Read a grey picture, one byte a pixel, the way up that gives its words the highest confidence."""
    first = read(pixels, width, height)
    if first.is_confident and not first.sideways:
        return first
    turns: tuple[int, ...] = (2,)
    if first.sideways:  # once more even if it is confident: rows and cells are only found in upright text
        turns = (3, 1) if first.is_confident else (1, 3)
    found = [first]
    for turn in turns:
        across, down = (height, width) if turn % 2 else (width, height)
        again = replace(read(turned(pixels, width, height, turn), across, down), turned=turn)
        if again.is_confident:
            return again
        found.append(again)
    return max(found, key=lambda one: one.letters * one.confidence)


def turned(pixels: bytes, width: int, height: int, quarters: int) -> bytes:
    """The picture turned clockwise by `quarters` quarter turns, 1 to 3."""
    if quarters == 2:
        return pixels[::-1]
    bottom = (height - 1) * width
    clockwise = b"".join(pixels[bottom + column :: -width] for column in range(width))
    return clockwise if quarters == 1 else clockwise[::-1]
