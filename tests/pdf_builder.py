"""Builds tiny PDFs.

    PdfBuilder(header="Pump Manual", footer="Page {page} of {pages}")
        .heading("1 Safety", size=18)
        .paragraph("Never open the valve while the pump runs.")
        .table([["Part", "Torque"], ["Bolt", "12 Nm"]])
        .page()
        .paragraph("A second page.")
        .save(tmp_path / "manual.pdf")

Text flows down from the top margin and on to further pages. Bold is Helvetica-Bold. The output is deterministic.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import pymupdf

MARGIN = 72.0
LEADING = 1.3


class PdfBuilder:
    """Writes one document from top to bottom. Every method but `save` and `data` returns the builder."""

    def __init__(
        self, *, header: str = "", footer: str = "", title: str = "", width: float = 595.0, height: float = 842.0
    ) -> None:
        self._document: Any = pymupdf.open()
        self._header = header
        self._footer = footer
        self._size = (width, height)
        self._y = 0.0
        self._document.set_metadata({"title": title})
        self.page()

    def page(self, *, rotation: int = 0) -> Self:
        """Starts a new page."""
        self._page = self._document.new_page(width=self._size[0], height=self._size[1])
        self._page.set_rotation(rotation)
        self._y = MARGIN
        return self

    def heading(self, text: str, *, size: float = 16.0, bold: bool = True) -> Self:
        """One line, with space above."""
        self._y += size * 0.8
        return self.line(text, size=size, bold=bold)

    def line(self, text: str, *, x: float = MARGIN, size: float = 11.0, bold: bool = False) -> Self:
        """One line, not wrapped."""
        self._advance(size)
        self._put(x, self._y, text, size, bold)
        return self

    def paragraph(self, text: str, *, size: float = 11.0, bold: bool = False, x: float = MARGIN) -> Self:
        """Text wrapped at the right margin, with space above."""
        self._y += size * 0.9
        for line in self._wrapped(text, size, self._size[0] - MARGIN - x):
            self.line(line, x=x, size=size, bold=bold)
        return self

    def table(self, rows: Sequence[Sequence[str]], *, columns: Sequence[float] = (), size: float = 10.0) -> Self:
        """Rows of cells; `columns` are the left edges in points, by default 120 apart."""
        self._y += size
        for row in rows:
            self._advance(size)
            for index, cell in enumerate(row):
                x = columns[index] if columns else MARGIN + 120 * index
                self._put(x, self._y, cell, size, bold=False)
        return self

    def at(self, x: float, y: float, text: str, *, size: float = 11.0, bold: bool = False, rotate: int = 0) -> Self:
        """Text whose baseline starts at (x, y), in points from the top left of the unrotated page."""
        self._put(x, y, text, size, bold, rotate)
        return self

    def image(self) -> Self:
        """A grey rectangle as an image, as on a scanned page."""
        pixmap = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 40, 40))
        pixmap.clear_with(128)
        self._page.insert_image(pymupdf.Rect(MARGIN, MARGIN, 300, 300), pixmap=pixmap)
        return self

    def copies(self, count: int) -> Self:
        """Repeats the last page `count` times, cheaply."""
        index = self._document.page_count - 1
        for _ in range(count):
            self._document.fullcopy_page(index, -1)
        self._page = self._document[index]
        return self

    def data(self, *, password: str = "") -> bytes:
        """The document as bytes, encrypted if a password is given. The builder cannot be used afterwards."""
        pages = self._document.page_count
        for number, page in enumerate(self._document, 1):
            self._page = page
            for y, text in ((36.0, self._header), (self._size[1] - 36.0, self._footer)):
                if text:
                    self._put(MARGIN, y, text.format(page=number, pages=pages), 9.0, bold=False)
        options: dict[str, Any] = {"garbage": 1, "no_new_id": True}
        if password:
            options |= {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "user_pw": password, "owner_pw": password}
        data = self._document.tobytes(**options)
        self._document.close()
        assert isinstance(data, bytes)
        return data

    def save(self, path: Path, *, password: str = "") -> Path:
        """Writes the document and returns the path."""
        path.write_bytes(self.data(password=password))
        return path

    def _advance(self, size: float) -> None:
        self._y += size * LEADING
        if self._y > self._size[1] - MARGIN:
            self.page()
            self._y += size * LEADING

    def _put(self, x: float, y: float, text: str, size: float, bold: bool, rotate: int = 0) -> None:
        self._page.insert_text((x, y), text, fontsize=size, fontname="hebo" if bold else "helv", rotate=rotate)

    @staticmethod
    def _wrapped(text: str, size: float, width: float) -> list[str]:
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and sum(map(_width, longer)) * size > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


@cache
def _width(character: str) -> float:
    """Width of a character in points, at size 1."""
    return float(pymupdf.get_text_length(character, fontsize=1))


def simple_pdf(path: Path, *pages: str) -> Path:
    """A PDF with one paragraph per page."""
    builder = PdfBuilder()
    for index, text in enumerate(pages):
        if index:
            builder.page()
        builder.paragraph(text)
    return builder.save(path)


def encrypted_pdf(path: Path) -> Path:
    """A PDF that needs the password "secret"."""
    return PdfBuilder().paragraph("Locked away.").save(path, password="secret")


def truncated_pdf(path: Path, keep: float = 0.2) -> Path:
    """The start of a PDF, too short to be repaired."""
    data = PdfBuilder().paragraph("Cut short. " * 50).data()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def image_only_pdf(path: Path, pages: int = 1) -> Path:
    """A scan: images, no text."""
    builder = PdfBuilder().image()
    for _ in range(pages - 1):
        builder.page().image()
    return builder.save(path)
