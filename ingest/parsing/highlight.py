"""Marks boxes in a picture as a marker pen does: what is white turns yellow, what is black stays black. Pure.

Done on the pixels and not as an annotation, so that it is the same for every kind of document, for pages that are
turned or cropped, and for scans. Standard library only: the parser's process has nothing else.
"""

from collections.abc import Iterable, Sequence

PixelBox = tuple[int, int, int, int]
"""x0, y0, x1, y1; the last column and row are not in it."""

_CHANNELS = 3
_INK = (255, 235, 60)
_TABLES = tuple(bytes(value * share // 255 for value in range(256)) for share in _INK)


def mark(pixels: bytearray, width: int, height: int, boxes: Iterable[PixelBox]) -> None:
    """Mark `boxes` in `pixels`, RGB rows without gaps; where boxes overlap, the colour is not laid on twice."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for x0, y0, x1, y1 in boxes:
        left, right = max(0, x0), min(width, x1)
        if left < right:
            for row in range(max(0, y0), min(height, y1)):
                spans.setdefault(row, []).append((left, right))
    for row, found in spans.items():
        for left, right in _united(found):
            _lay_on(pixels, (row * width + left) * _CHANNELS, (row * width + right) * _CHANNELS)


def _united(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    united: list[tuple[int, int]] = []
    for left, right in sorted(spans):
        if united and left <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], right))
        else:
            united.append((left, right))
    return united


def _lay_on(pixels: bytearray, start: int, end: int) -> None:
    for channel, table in enumerate(_TABLES):
        cells = slice(start + channel, end, _CHANNELS)
        pixels[cells] = pixels[cells].translate(table)
