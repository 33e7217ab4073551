"""Pictures whose text lies on its side or stands on its head: which way to turn them, and turning them. Pure.

Layout analysis sees along which axis lines run, and takes upright ones to stand on their feet and sideways ones to run
downwards. So there is one other way to read them, and it shows by itself: against their way, hardly a word is believed.
Pages that are upright and legible are read once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ingest.protocol.page_columns import RawPage

MOST_READINGS = 3
BELIEVED = 65
"""Of 100. The right way up, the worst legible scans have 75 or more; the wrong way, a few words have up to 53."""


@dataclass(frozen=True, slots=True)
class OrientationReading:
    """What was recognised of a picture as it was shown."""

    page: RawPage
    letters: int
    confidence: int
    """Of 100, the mean over all letters, those of words left out as well; 100 where there are none."""
    sideways: bool
    """Whether most of its words are taller than wide."""
    turned: int = 0
    """By how many quarters, clockwise, the picture was turned before; the page is the turned one."""

    @property
    def is_believed(self) -> bool:
        """Whether it is the right way up, as far as can be told."""
        return self.confidence >= BELIEVED


def read_upright(
    read: Callable[[bytes, int, int], OrientationReading], pixels: bytes, width: int, height: int
) -> OrientationReading:
    """Read a grey picture, a byte a pixel, the way up in which its words are believed most."""
    first = read(pixels, width, height)
    if first.is_believed and not first.sideways:
        return first
    turns: tuple[int, ...] = (2,)
    if first.sideways:  # once more even if it is believed: rows and cells are told for upright text
        turns = (3, 1) if first.is_believed else (1, 3)
    found = [first]
    for turn in turns:
        across, down = (height, width) if turn % 2 else (width, height)
        again = replace(read(turned(pixels, width, height, turn), across, down), turned=turn)
        if again.is_believed:
            return again
        found.append(again)
    return max(found, key=lambda one: one.letters * one.confidence)


def turned(pixels: bytes, width: int, height: int, quarters: int) -> bytes:
    """The picture turned clockwise by so many quarters, 1 to 3."""
    if quarters == 2:
        return pixels[::-1]
    bottom = (height - 1) * width
    clockwise = b"".join(pixels[bottom + column :: -width] for column in range(width))
    return clockwise if quarters == 1 else clockwise[::-1]
