"""Derives each line's style from the spans that MuPDF reports for it. Pure."""

from typing import Any, NamedTuple

_ITALIC, _BOLD, _CHAR_BOLD = 2, 16, 8
"""MuPDF's TEXT_FONT_ITALIC and TEXT_FONT_BOLD of a span, and FZ_STEXT_BOLD of its characters."""
_COLOURED = 48
"""Of 255: a larger difference between red, green and blue is a colour. Chosen by eye."""


class LineStyle(NamedTuple):
    """A line's largest font size in points, whether all of it is bold, whether all is italic or coloured, its box."""

    size: float
    bold: bool
    marked: bool
    box: Any


PLAIN = LineStyle(0.0, False, False, (0.0, 0.0, 0.0, 0.0))


def line_styles(page: dict[str, Any]) -> dict[tuple[int, int], LineStyle]:
    """The styles of a page's lines, by number of the block and index of the line in it."""
    return {
        (block["number"], index): _style(line)
        for block in page["blocks"]
        for index, line in enumerate(block.get("lines", ()))
    }


def _style(line: dict[str, Any]) -> LineStyle:
    spans = [span for span in line["spans"] if span["text"].strip()]
    size = max((span["size"] for span in spans), default=0.0)
    bold = bool(spans) and all(span["flags"] & _BOLD or span["char_flags"] & _CHAR_BOLD for span in spans)
    marked = bool(spans) and all(span["flags"] & _ITALIC or _is_coloured(span["color"]) for span in spans)
    return LineStyle(size, bold, marked, line["bbox"])


def _is_coloured(colour: int) -> bool:
    """Whether red, green and blue differ clearly; black, grey and white do not."""
    parts = colour >> 16 & 255, colour >> 8 & 255, colour & 255
    return max(parts) - min(parts) > _COLOURED
