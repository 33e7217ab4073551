"""Finds pages that show more than their text says, and the resolution to render them at for recognition. Pure."""

from collections.abc import Callable, Iterable, Sequence

Drawn = tuple[str, Sequence[float]]
"""A drawing operation of the page ("fill-image", "fill-path", ...) and its box."""

# The thresholds of this module were chosen by eye.
_FEW_WORDS = 25
"""Most words of a page that may still be a scan: a stamp or page number over a scan is no text layer."""
_SPECK = 0.02
"""Share of the page; smaller images are logos."""
_MOST_OF_PAGE = 0.5
"""Share of the page from which an image counts as the page itself."""
_MANY_PATHS = 30
"""Letters drawn as outlines are many paths; frames and rules are few."""
_USUAL_DPI, _COARSEST_DPI, _FINEST_DPI = 200, 150, 300


def is_scanned(words: int, drawn: Callable[[], Iterable[Drawn]], width: float, height: float) -> bool:
    """Whether a page with this number of words needs text recognition.

    A page with more than a few words has a text layer. `drawn` is not called for it: listing what is drawn costs as
    much as reading the text.
    """
    if words > _FEW_WORDS or width <= 0 or height <= 0:
        return False
    images, paths, letters = 0.0, 0, 0
    for kind, box in drawn():
        if kind in ("fill-image", "fill-imgmask"):
            images += _share(box, width, height)
        elif kind in ("fill-path", "stroke-path"):
            paths += 1
        elif kind == "fill-text":
            letters += 1
    if words:
        return images >= _MOST_OF_PAGE
    return images >= _SPECK or paths >= _MANY_PATHS or letters > 0


def resolution(images: Iterable[tuple[int, Sequence[float]]], width: float, height: float, most_pixels: int) -> int:
    """Dots per inch to render a page at: the resolution of the image that covers it, so that nothing is resampled.

    `images` are widths in pixels with their boxes in points. The rendered page has at most `most_pixels`.

    >>> resolution([(2550, (0, 0, 612, 792))], width=612, height=792, most_pixels=12_000_000)
    300
    """
    native = max(
        (pixels * 72 / (box[2] - box[0]) for pixels, box in images if _share(box, width, height) >= _MOST_OF_PAGE),
        default=_USUAL_DPI,
    )
    dpi = min(max(round(native), _COARSEST_DPI), _FINEST_DPI)
    fits = int(72 * (most_pixels / ((width + 1) * (height + 1))) ** 0.5)
    return max(1, min(dpi, fits))


def _share(box: Sequence[float], width: float, height: float) -> float:
    """The share of the page that a box covers."""
    across = min(box[2], width) - max(box[0], 0.0)
    down = min(box[3], height) - max(box[1], 0.0)
    return max(0.0, across) * max(0.0, down) / (width * height)
