"""Pictures are turned until their words have confidence, and places on turned pages are mapped back."""

from collections.abc import Callable

import pytest

from ingest.ocr.orientation import MOST_READINGS, OrientationReading, read_upright, turned
from ingest.ocr.turned_pages import displayed
from ingest.protocol.page_columns import empty_page

UPRIGHT = b"abcdef"  # 3 × 2
ON_ITS_SIDE, ON_ITS_HEAD, ON_THE_OTHER_SIDE = b"daebfc", b"fedcba", b"cfbead"


class Eye:
    """Has confidence in a picture the right way up, and sees along which axis lines run."""

    def __init__(self, believed: Callable[[bytes, int], int]) -> None:
        self.looks = 0
        self._believed = believed

    def __call__(self, pixels: bytes, width: int, height: int) -> OrientationReading:
        self.looks += 1
        return OrientationReading(empty_page(1), 100, self._believed(pixels, width), sideways=width < height)


def as_tesseract(pixels: bytes, width: int) -> int:
    """Takes vertical lines to run downwards."""
    return 95 if pixels in (UPRIGHT, ON_ITS_SIDE) else 20


@pytest.mark.parametrize(
    ("pixels", "width", "back", "looks"),
    [(UPRIGHT, 3, 0, 1), (ON_ITS_SIDE, 2, 3, 2), (ON_ITS_HEAD, 3, 2, 2), (ON_THE_OTHER_SIDE, 2, 1, 2)],
)
def test_a_picture_that_is_not_upright_is_read_once_more(pixels: bytes, width: int, back: int, looks: int) -> None:
    eye = Eye(as_tesseract)
    found = read_upright(eye, pixels, width, 6 // width)
    assert (found.turned, found.confidence, found.sideways) == (back, 95, False)
    assert eye.looks == looks


@pytest.mark.parametrize("width", [3, 2])
def test_a_picture_without_confident_words_is_read_three_times_and_the_best_is_kept(width: int) -> None:
    eye = Eye(lambda pixels, _: 40 if pixels == UPRIGHT else 30)
    found = read_upright(eye, UPRIGHT, width, 6 // width)
    assert (found.turned, found.confidence) == (0, 40)
    assert 1 < eye.looks <= MOST_READINGS


def test_vertical_script_is_not_turned() -> None:
    assert read_upright(Eye(lambda _, width: 90 if width == 2 else 10), UPRIGHT, 2, 3).turned == 0


def test_a_picture_is_turned_clockwise() -> None:
    assert [turned(UPRIGHT, 3, 2, quarters) for quarters in (1, 2, 3)] == [ON_ITS_SIDE, ON_ITS_HEAD, ON_THE_OTHER_SIDE]


@pytest.mark.parametrize(
    ("quarters", "box"), [(1, (590, 10, 595, 40)), (2, (555, 790, 585, 795)), (3, (590, 10, 595, 40))]
)
def test_a_box_on_a_turned_page_is_found_on_the_page_as_displayed(quarters: int, box: tuple[float, ...]) -> None:
    turned_box = {1: (802.0, 590.0, 832.0, 595.0), 2: (10.0, 47.0, 40.0, 52.0), 3: (10.0, 0.0, 40.0, 5.0)}[quarters]
    assert displayed(turned_box, quarters, 595, 842) == box
