"""Marks boxes in an image as a highlighter pen does: white turns yellow, black stays black. Pure.

Works on the pixels rather than by an annotation, so that it is the same for every type of document, for rotated or
cropped pages, and for scans. Standard library only: the parser's process has nothing else.
"""

from collections.abc import Iterable, Sequence

PixelBox = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; column x1 and row y1 are not part of the box."""

_CHANNELS = 3
_INK = (255, 235, 60)
_TABLES = tuple(bytes(value * share // 255 for value in range(256)) for share in _INK)


def mark(pixels: bytearray, width: int, height: int, boxes: Iterable[PixelBox]) -> None:
    """Mark `boxes` in `pixels`, RGB rows without padding. Where boxes overlap, the colour is applied once."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for x0, y0, x1, y1 in boxes:
        left, right = max(0, x0), min(width, x1)
        if left < right:
            for row in range(max(0, y0), min(height, y1)):
                spans.setdefault(row, []).append((left, right))
    for row, found in spans.items():
        for left, right in _merged(found):
            _tint(pixels, (row * width + left) * _CHANNELS, (row * width + right) * _CHANNELS)


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for left, right in sorted(spans):
        if merged and left <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], right))
        else:
            merged.append((left, right))
    return merged


def _tint(pixels: bytearray, start: int, end: int) -> None:
    for channel, table in enumerate(_TABLES):
        cells = slice(start + channel, end, _CHANNELS)
        pixels[cells] = pixels[cells].translate(table)
