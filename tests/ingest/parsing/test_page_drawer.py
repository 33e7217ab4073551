"""Pages are drawn in the parser's sandbox, and the highlight covers the words whatever the page's rotation and crop."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pymupdf
import pytest

from ingest.errors import BrokenPdf, FileChanged, ParserCrashed, ParserLimit, Stopped, Unreadable
from ingest.parsing.extraction import open_extraction
from ingest.parsing.forkserver import PARSERS
from ingest.parsing.highlight import mark
from ingest.parsing.page_drawer import PageDrawer
from ingest.sandbox.launch import Starter
from ingest.sandbox.limits import Limits
from ingest.types import Box, PageImage
from tests.ingest.parsing.executed import executed
from tests.pdf_builder import PdfBuilder

HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_child.py")))


def draw(
    path: Path, boxes: Sequence[Box] = (), *, page: int = 1, dpi: int = 72, start: Starter = PARSERS.start,
    limits: Limits | None = None, sha256: str | None = None, stop: Event | None = None,
) -> PageImage:  # fmt: skip
    drawer = PageDrawer(bytes(path.parent), limits or Limits(), start)
    content = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    return drawer.draw(path.name.encode(), content, page, dpi, boxes, stop or Event())


def word_box(path: Path, word: str) -> Box:
    with open_extraction(path) as extraction:
        (page,) = extraction
    return next(w.box for line in page.lines for w in line.words if page.text[w.start : w.end] == word)


def coloured_dots(pixels: pymupdf.Pixmap) -> set[tuple[int, int]]:
    """The pixels that are not grey."""
    samples, width = bytes(pixels.samples), pixels.width
    colours = zip(samples[0::3], samples[1::3], samples[2::3], strict=True)
    return {(index % width, index // width) for index, (red, _, blue) in enumerate(colours) if red != blue}


class SetLater(Event):
    """Set after it was checked three times: by then the file has been hashed and the child is being waited for."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks > 3


CROP = (40, 90, 400, 380)


@pytest.mark.parametrize(("rotation", "crop"), [(0, None), (90, CROP), (180, CROP)])
def test_the_mark_covers_the_word_and_little_else(
    tmp_path: Path, rotation: int, crop: tuple[float, ...] | None
) -> None:
    path = tmp_path / "a.pdf"
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    page.insert_text((100, 200), "before", fontsize=20)
    page.insert_text((200, 200), "Wanted", fontsize=20, color=(1, 0, 0))
    page.insert_text((300, 200), "after", fontsize=20)
    if crop:
        page.set_cropbox(pymupdf.Rect(crop))
    page.set_rotation(rotation)
    document.save(path)
    letters = coloured_dots(page.get_pixmap(dpi=144))
    image = draw(path, [word_box(path, "Wanted")], dpi=144)
    pixels = pymupdf.Pixmap(image.png)
    assert (pixels.width, pixels.height) == (image.width, image.height)
    coloured = coloured_dots(pixels)
    xs, ys = zip(*coloured, strict=True)
    box = (max(xs) - min(xs) + 1) * (max(ys) - min(ys) + 1)
    assert letters
    assert letters <= coloured
    assert len(coloured) >= 0.8 * box  # all but the grey rims of black letters: one box, no stray dots
    assert box < 6 * len(letters)


def test_a_huge_page_is_drawn_at_a_lower_resolution_which_is_reported(tmp_path: Path) -> None:
    path = PdfBuilder(width=10_000, height=10_000).paragraph("A plan of the plant.").save(tmp_path / "plan.pdf")
    image = draw(path, dpi=300)
    assert image.dpi == 28
    assert image.width * image.height <= 16_000_000


def test_the_requested_page_is_drawn(tmp_path: Path) -> None:
    path = PdfBuilder().line("one").page(rotation=90).line("two").save(tmp_path / "a.pdf")
    second = draw(path, page=2)
    assert (second.width, second.height) == (842, 595)


def test_content_other_than_the_indexed_one_is_not_drawn(tmp_path: Path) -> None:
    path = PdfBuilder().line("new").save(tmp_path / "a.pdf")
    with pytest.raises(FileChanged, match="not the one that was indexed"):
        draw(path, sha256="0" * 64)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "library", tmp_path / "outside.pdf"
    inside.mkdir()
    PdfBuilder().line("secret").save(outside)
    (inside / "a.pdf").symlink_to(outside)
    with pytest.raises(Unreadable, match="it is a link"):
        draw(inside / "a.pdf")


def test_a_missing_page_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = PdfBuilder().line("one").save(tmp_path / "a.pdf")
    with pytest.raises(BrokenPdf):
        draw(path, page=7)


def test_a_drawing_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    path = PdfBuilder(width=2000, height=2000).line("large").save(tmp_path / "a.pdf")
    with pytest.raises(ParserLimit):
        draw(path, dpi=144, limits=Limits(memory_bytes=40 << 20))


@pytest.mark.parametrize("way", ["not an image", "another size", "no base 64", "a page instead"])
def test_a_parser_that_sends_another_image_than_requested_is_killed(tmp_path: Path, way: str) -> None:
    path = PdfBuilder().line("one").save(tmp_path / "a.pdf")
    with pytest.raises(ParserCrashed, match="invalid message"):
        draw(path, start=executed(*HOSTILE, way))


def test_a_drawing_ends_when_the_service_stops(tmp_path: Path) -> None:
    path = PdfBuilder().line("one").save(tmp_path / "a.pdf")
    with pytest.raises(Stopped):
        draw(path, start=executed(*HOSTILE, "silent"), stop=SetLater())


def test_overlapping_marks_are_coloured_once_and_black_stays_black() -> None:
    pixels = bytearray(b"\xff" * 30 + b"\x00" * 30)
    mark(pixels, 10, 2, [(-5, -5, 4, 99), (2, 0, 6, 1), (8, 0, 8, 2)])
    yellow, white = b"\xff\xeb\x3c", b"\xff\xff\xff"
    assert bytes(pixels) == yellow * 6 + white * 4 + bytes(30)
