"""A page as it travels from a child process, in columns of numbers; `page_decoder.decode_page` checks it."""

from array import array
from typing import TypedDict

from ingest.protocol.frames import FLOATS, INTEGERS

MAX_COORDINATE = 100_000_000
"""Hundredths of a point, far beyond any page; such numbers still fit a column of integers."""


class RawPage(TypedDict):
    """A page in columns: words in the order of the text, lines in the order of their words.

    Boxes are in points, sizes in hundredths of a point. Columns, because a dictionary for each word costs more than
    reading the page.
    """

    number: int
    text: str
    label: str
    size: "array[int]"
    """Width and height in hundredths of a point."""
    starts: "array[int]"
    ends: "array[int]"
    boxes: "array[float]"
    """Four numbers for each word."""
    line_words: "array[int]"
    line_boxes: "array[float]"
    line_blocks: "array[int]"
    line_sizes: "array[int]"
    line_bold: "array[int]"
    line_marked: "array[int]"
    """1 for a line wholly in italics or in colour."""
    damaged: bool
    """The page could not be read, or only in part; `text` holds that part."""
    scanned: bool
    """The page shows more than its text says: images, or drawings instead of letters."""


def empty_page(number: int) -> RawPage:
    """A page without content, marked as damaged until it has been read."""
    return RawPage(
        number=number,
        text="",
        label="",
        size=array(INTEGERS, [0, 0]),
        starts=array(INTEGERS),
        ends=array(INTEGERS),
        boxes=array(FLOATS),
        line_words=array(INTEGERS),
        line_boxes=array(FLOATS),
        line_blocks=array(INTEGERS),
        line_sizes=array(INTEGERS),
        line_bold=array(INTEGERS),
        line_marked=array(INTEGERS),
        damaged=True,
        scanned=False,
    )


def hundredths(value: float) -> int:
    """A length in hundredths; 0 for a value that no page can have, NaN included."""
    scaled = value * 100
    if not -MAX_COORDINATE < scaled < MAX_COORDINATE:  # also true of NaN
        return 0
    return round(scaled)
