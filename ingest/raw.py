"""A page in columns of integers: how it travels from a child's process, as `pages.decode_page` takes it."""

from typing import TypedDict

MAX_COORDINATE = 100_000_000


class RawPage(TypedDict):
    """A page in columns. Words lie in the order of the text, lines in the order of their words.

    Boxes and sizes are hundredths of a point, because a dictionary per word costs more than reading the page.
    """

    number: int
    text: str
    label: str
    size: list[int]
    """Width and height."""
    starts: list[int]
    ends: list[int]
    boxes: list[int]
    """Four for each word."""
    line_words: list[int]
    line_boxes: list[int]
    line_blocks: list[int]
    line_sizes: list[int]
    line_bold: list[int]
    line_marked: list[int]
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
        size=[0, 0],
        starts=[],
        ends=[],
        boxes=[],
        line_words=[],
        line_boxes=[],
        line_blocks=[],
        line_sizes=[],
        line_bold=[],
        line_marked=[],
        damaged=True,
        scanned=False,
    )


def hundredths(value: float) -> int:
    """A coordinate as it travels; 0 for what is no place on any page."""
    scaled = value * 100
    if not -MAX_COORDINATE < scaled < MAX_COORDINATE:  # also true of NaN
        return 0
    return round(scaled)
