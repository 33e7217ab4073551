"""What a document says about itself is either understood or left out."""

from pathlib import Path

import pytest

from ingest.parsing.extraction import open_extraction
from ingest.protocol.info_fields import date_of, language_of
from ingest.sandbox.limits import Limits
from ingest.types import Bookmark
from tests.pdf_builder import PdfBuilder


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("D:20220729060321-04'00'", "2022-07-29T06:03:21-04:00"),
        ("D:20151130171800Z", "2015-11-30T17:18:00+00:00"),
        ("20220729", "2022-07-29T00:00:00+00:00"),
        ("D:2022", "2022-01-01T00:00:00+00:00"),
        ("2022-07-29T06:03:21Z", "2022-07-29T06:03:21+00:00"),
        ("2022-07-29", "2022-07-29T00:00:00+00:00"),
        ("D:20221399999999", ""),
        ("D:00010101000000Z", ""),
        ("D:20220729060321+99'99'", ""),
        ("last Tuesday", ""),
        ("", ""),
    ],
)
def test_dates_are_read_in_the_forms_of_pdf_and_iso(text: str, date: str) -> None:
    assert date_of(text) == date


@pytest.mark.parametrize(
    ("text", "tag"),
    [("EN", "en"), ("de_at", "de-AT"), ("zh-Hans-cn", "zh-Hans-CN"), ("en_US.UTF-8", "en-US"), ("<x>", "")],
)
def test_a_language_is_a_valid_tag_or_empty(text: str, tag: str) -> None:
    assert language_of(text) == tag


def described_pdf(path: Path) -> Path:
    builder = PdfBuilder().paragraph("Mind the gap.").page().paragraph("Mind the valve.")
    document = builder._document
    document.set_metadata({"title": "Manual", "author": "A. Writer", "creationDate": "D:20240229120000+01'00'"})
    document.xref_set_key(document.pdf_catalog(), "Lang", "(en-GB)")
    document.set_toc([[1, "Gaps", 1], [2, "Valves", 2]])
    return builder.save(path)


def test_author_dates_language_and_bookmarks_of_a_document_are_read(tmp_path: Path) -> None:
    with open_extraction(described_pdf(tmp_path / "a.pdf")) as extraction:
        info = extraction.info
    assert (info.title, info.author, info.language) == ("Manual", "A. Writer", "en-GB")
    assert (info.created, info.modified) == ("2024-02-29T12:00:00+01:00", "")
    assert info.outline == (Bookmark(1, "Gaps", 1), Bookmark(2, "Valves", 2))


def test_bookmarks_over_the_limit_are_left_out(tmp_path: Path) -> None:
    with open_extraction(described_pdf(tmp_path / "a.pdf"), Limits(bookmarks=1)) as extraction:
        assert extraction.info.outline == (Bookmark(1, "Gaps", 1),)
        assert len(list(extraction)) == 2
