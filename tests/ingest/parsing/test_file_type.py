"""Files besides PDFs are recognised by their content, and unreadable ones are refused in plain words."""

from collections.abc import Callable
from pathlib import Path

import pymupdf
import pytest

from ingest.errors import BrokenPdf, IngestError, ParserLimit, UnsupportedType
from ingest.ocr.recogniser import Ocr, OcrSettings
from ingest.parsing.extraction import open_extraction
from ingest.parsing.file_type import as_utf8, kind_of
from ingest.sandbox.limits import MIB, Limits
from ingest.types import DocumentInfo, Page
from tests import format_builder as made
from tests.pdf_builder import PdfBuilder
from tests.scan_builder import picture_of

BODY = "<h1>Safety</h1><p>Mind the gap.</p>"


def read(path: Path, content: bytes, limits: Limits | None = None, ocr: Ocr | None = None) -> list[Page]:
    path.write_bytes(content)
    with open_extraction(path, limits, ocr=ocr) as extraction:
        return list(extraction)


def info_of(path: Path, content: bytes) -> DocumentInfo:
    path.write_bytes(content)
    with open_extraction(path) as extraction:
        return extraction.info


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(made.epub(BODY), "Safety Mind the gap.", id="epub"),
        pytest.param(made.docx("Mind the gap."), "Mind the gap.", id="docx"),
        pytest.param(made.pptx("Mind the gap."), "Mind the gap.", id="pptx"),
        pytest.param(made.xlsx("Pump", 42), "Pump 42", id="xlsx"),
        pytest.param(made.xps("Mind the gap.", pymupdf.Font("helv").buffer), "Mind the gap.", id="xps"),
        pytest.param(made.mobi(BODY), "Safety Mind the gap.", id="mobi"),
        pytest.param(made.fb2("Mind the gap."), "Safety Mind the gap.", id="fb2"),
        pytest.param(f"<!DOCTYPE html><html><body>{BODY}</body></html>".encode(), "Safety Mind the gap.", id="html"),
        pytest.param(b"# Safety\n\nMind the gap.", "Safety Mind the gap.", id="markdown"),
        pytest.param(b"Mind the gap.\r\n", "Mind the gap.", id="text"),
        pytest.param("Mind the gäp.".encode("utf-16"), "Mind the gäp.", id="utf-16"),
        pytest.param("Mind the gäp.".encode("latin-1"), "Mind the gäp.", id="latin-1"),
    ],
)
def test_other_types_are_read_whatever_their_name(tmp_path: Path, content: bytes, text: str) -> None:
    (page,) = read(tmp_path / "misnamed.pdf", content)
    assert " ".join(page.text.split()) == text
    assert page.source == "text"
    assert all(page.text[word.start : word.end] in text for line in page.lines for word in line.words)


def test_headings_of_markdown_and_books_are_larger_than_their_text(tmp_path: Path) -> None:
    for content in (b"# Safety\n\nMind the gap.\n", made.epub(BODY)):
        heading, body = read(tmp_path / "x", content)[0].lines
        assert heading.size > 1.5 * body.size


def test_a_books_title_and_author_are_known(tmp_path: Path) -> None:
    info = info_of(tmp_path / "x", made.epub(BODY, title="Pump Care", author="Ann Other"))
    assert (info.title, info.author) == ("Pump Care", "Ann Other")


def test_text_without_pages_is_laid_out_the_same_each_time(tmp_path: Path) -> None:
    content = ("A line that says something about the pump. " * 200).encode()
    first = read(tmp_path / "x", content)
    assert len(first) > 2
    assert read(tmp_path / "y", content) == first
    assert {(page.width, page.height) for page in first} == {(400, 600)}


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(("\n" + " " * 79) * 12 + "\n", id="padded lines"),
        pytest.param(" " * 900, id="spaces"),
        pytest.param(" " + "A1," * 300 + " ", id="a word longer than a line"),
    ],
)
def test_nothing_is_lost_after_wide_gaps_and_long_words(tmp_path: Path, between: str) -> None:
    content = f"MONTHLY REPORT{between}The boiler was cleaned.\n".encode()
    pages = read(tmp_path / "report.txt", content)
    words = [page.text[word.start : word.end] for page in pages for line in page.lines for word in line.words]
    assert words[:2] == ["MONTHLY", "REPORT"]
    assert words[-4:] == ["The", "boiler", "was", "cleaned."]


@pytest.mark.skipif(bool(Ocr().missing()), reason="Tesseract is not installed")
@pytest.mark.parametrize("way", ["png", "cbz", "tiff", "bmp", "gif"])
def test_a_picture_is_read_by_text_recognition(tmp_path: Path, way: str) -> None:
    page = pymupdf.open(stream=PdfBuilder(width=400, height=190).paragraph("Mind the gap here.").data())[0]
    png = picture_of(page, noise=0)
    grey = pymupdf.Pixmap(png)
    shown = (bytes(grey.samples), grey.width, grey.height)
    content = {
        "png": png,
        "cbz": made.zipped({"1.png": png}),
        "tiff": made.tiff(*shown, 200),
        "bmp": made.bmp(*shown, 200),
        "gif": made.gif(*shown),
    }[way]
    (found,) = read(tmp_path / "x", content, ocr=Ocr(OcrSettings(niceness=0)))
    assert found.source == "ocr"
    assert found.text.strip() == "Mind the gap here."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (made.zipped({"notes.bin": "x"}), "a ZIP archive"),
        (made.zipped({"mimetype": "application/vnd.oasis.opendocument.text"}), "an OpenDocument text"),
        (b"PK\x03\x04 cut off", "a damaged ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "before 2007"),
        (b"ID3\x04 la la", "an audio file"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP picture"),
        (b"\0\0\0\x18ftypheic", "a HEIC picture"),
        (b"\x1f\x8b\x08\0", "a gzip archive"),
        (b"\x7fELF\x02", "a program"),
        (b"\0\x01\x02\x03 nobody knows", "of an unknown type"),
    ],
)
def test_an_unreadable_type_is_refused_by_name_with_a_hint(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(UnsupportedType) as caught:
        read(tmp_path / "x.pdf", content)
    assert words in caught.value.why
    assert "x.pdf" in caught.value.what
    assert caught.value.hint


def test_a_damaged_book_is_reported_as_broken(tmp_path: Path) -> None:
    content = made.zipped({"mimetype": "application/epub+zip", "META-INF/container.xml": "<container"})
    with pytest.raises(BrokenPdf) as caught:
        read(tmp_path / "x.epub", content)
    assert "qpdf" not in caught.value.hint


@pytest.mark.parametrize(
    ("content", "kind", "lists"),
    [
        (made.docx("x"), "a Word document", ("_rels/.rels", "word/_rels/document.xml.rels")),
        (made.xlsx("x", 1), "an Excel workbook", ("_rels/.rels", "xl/_rels/workbook.xml.rels")),
        (made.pptx("x"), "a PowerPoint presentation", ("_rels/.rels", "ppt/_rels/presentation.xml.rels")),
    ],
)
def test_an_office_file_without_relationships_is_not_called_damaged(
    tmp_path: Path, content: bytes, kind: str, lists: tuple[str, ...]
) -> None:
    for name in lists:
        with pytest.raises(BrokenPdf) as caught:
            read(tmp_path / "x", made.without(content, name))
        place = name.rpartition("/")[0]
        assert caught.value.why == f"it is {kind} that lacks the list of how its parts belong together (in {place}/)"
        assert "LibreOffice" in caught.value.hint


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(lambda: made.epub("<p>" + "bomb " * 8_000_000 + "</p>"), id="zip bomb"),
        pytest.param(lambda: made.epub("<div>" * 300_000 + "deep" + "</div>" * 300_000), id="deep nesting"),
    ],
)
def test_a_bomb_in_an_archive_ends_in_an_error(tmp_path: Path, bomb: Callable[[], bytes]) -> None:
    content = bomb()
    assert len(content) < 2 * MIB
    with pytest.raises(IngestError) as caught:
        read(tmp_path / "x.epub", content, Limits(memory_bytes=256 * MIB, page_seconds=5.0))
    assert isinstance(caught.value, ParserLimit | BrokenPdf) or "crashed" in caught.value.why


def test_a_heading_in_a_script_does_not_make_it_markdown() -> None:
    assert kind_of(memoryview(b"#!/bin/sh\n\n# says\n\necho\n")).filetype == "txt"
    assert kind_of(memoryview(b"a = 1  # one\n")).filetype == "txt"
    assert kind_of(memoryview(b"Intro.\n\n## Part\n\nText.\n")).filetype == "md"


def test_text_in_every_encoding_becomes_utf_8() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        assert as_utf8(memoryview("1 €\r\nä".encode(encoding))) == "1 €\nä\n".encode()
