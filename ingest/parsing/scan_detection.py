"""Which pages show more than their text says, and how finely to render them for recognition. Pure."""

from collections.abc import Callable, Iterable, Sequence

Drawn = tuple[str, Sequence[float]]
"""What was painted ("fill-image", "fill-path", ...) and its box."""

_FEW_WORDS = 25
"""A stamp or a page number over a scan is no text layer."""
_SPECK = 0.02
_MOST_OF_PAGE = 0.5
_MANY_PATHS = 30
"""Letters drawn as outlines are many; frames and rules are few."""
_USUAL_DPI, _COARSEST_DPI, _FINEST_DPI = 200, 150, 300


def is_scanned(words: int, drawn: Callable[[], Iterable[Drawn]], width: float, height: float) -> bool:
    """Whether a page with so few words is to be looked at; a page with more has a text layer, and what is drawn on it,
    as costly to find out as its text, is not asked for."""
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
    """Dots per inch for a picture of the page: that of the image that covers it, so that nothing is resampled.

    `images` are widths in pixels with their boxes in points; the picture has at most `most_pixels`.
    """
    native = max(
        (pixels * 72 / (box[2] - box[0]) for pixels, box in images if _share(box, width, height) >= _MOST_OF_PAGE),
        default=_USUAL_DPI,
    )
    dpi = min(max(round(native), _COARSEST_DPI), _FINEST_DPI)
    fits = int(72 * (most_pixels / ((width + 1) * (height + 1))) ** 0.5)
    return max(1, min(dpi, fits))


def _share(box: Sequence[float], width: float, height: float) -> float:
    """Of the page that a box covers."""
    across = min(box[2], width) - max(box[0], 0.0)
    down = min(box[3], height) - max(box[1], 0.0)
    return max(0.0, across) * max(0.0, down) / (width * height)
