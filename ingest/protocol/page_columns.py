"""A page in columns of numbers: how it travels from a child's process, as `pages.decode_page` takes it."""

from array import array
from typing import TypedDict

from ingest.protocol.frames import FLOATS, INTEGERS

MAX_COORDINATE = 100_000_000


class RawPage(TypedDict):
    """A page in columns. Words lie in the order of the text, lines in the order of their words.

    Boxes are in points, sizes in hundredths of a point; columns, as a dictionary per word costs more than reading the
    page.
    """

    number: int
    text: str
    label: str
    size: "array[int]"
    """Width and height."""
    starts: "array[int]"
    ends: "array[int]"
    boxes: "array[float]"
    """Four for each word."""
    line_words: "array[int]"
    line_boxes: "array[float]"
    line_blocks: "array[int]"
    line_sizes: "array[int]"
    line_bold: "array[int]"
    line_marked: "array[int]"
    """Lines wholly in italics or in colour."""
    damaged: bool
    """The page could not be read, or not to its end; `text` has what could."""
    scanned: bool
    """The page shows more than its text says: pictures or drawings instead of letters."""


def empty_page(number: int) -> RawPage:
    """A page without anything, and damaged until something is known of it."""
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
    """A length as it travels; 0 for what is none on any page."""
    scaled = value * 100
    if not -MAX_COORDINATE < scaled < MAX_COORDINATE:  # also true of NaN
        return 0
    return round(scaled)
