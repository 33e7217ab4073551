"""Makes scans: the pages of a PDF as greyscale images with some noise, without a text layer."""

import random
from pathlib import Path
from typing import Any

import pymupdf

from tests.pdf_builder import PdfBuilder


def scanned_copy(data: bytes, *, dpi: int = 200, noise: int = 12, seed: int = 1) -> bytes:
    """A copy of the PDF `data` whose pages are images, as a scanner makes them."""
    source: Any = pymupdf.open(stream=data)
    copy: Any = pymupdf.open()
    for page in source:
        sheet = copy.new_page(width=page.rect.width, height=page.rect.height)
        sheet.insert_image(sheet.rect, stream=picture_of(page, dpi=dpi, noise=noise, seed=seed))
    return bytes(copy.tobytes(garbage=1, no_new_id=True))


def picture_of(page: Any, *, dpi: int = 200, noise: int = 12, seed: int = 1) -> bytes:
    """A page as a slightly noisy PNG. Of 256 pixels, `noise` are lightened or darkened on average."""
    pixmap = page.get_pixmap(dpi=dpi, colorspace=pymupdf.csGRAY, alpha=False)
    at = random.Random(seed)
    pixels = bytearray(pixmap.samples)
    specks = at.randbytes(len(pixels))
    for index, speck in enumerate(specks):
        if speck < noise:
            pixels[index] = max(0, pixels[index] - 60) if speck % 2 else min(255, pixels[index] + 60)
    return bytes(pymupdf.Pixmap(pymupdf.csGRAY, pixmap.width, pixmap.height, bytes(pixels), False).tobytes("png"))


def mixed_pdf(path: Path, *texts: str, scanned: tuple[int, ...]) -> Path:
    """A PDF with one paragraph per page; the pages numbered in `scanned`, from 1, are scans."""
    copy: Any = pymupdf.open()
    for number, text in enumerate(texts, 1):
        data = PdfBuilder(width=400, height=190).paragraph(text, size=11).data()
        copy.insert_pdf(pymupdf.open(stream=scanned_copy(data) if number in scanned else data))
    path.write_bytes(copy.tobytes(garbage=1, no_new_id=True))
    return path
