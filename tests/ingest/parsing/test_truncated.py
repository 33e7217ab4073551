"""A file that was cut off is reported as such at any length, and never read in part."""

from pathlib import Path

import pytest

from ingest.errors import BrokenPdf
from ingest.parsing.extraction import open_extraction
from tests.pdf_builder import simple_pdf


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    pages = (f"Page {number} says something of its own." for number in range(1, 6))
    return simple_pdf(tmp_path / "whole.pdf", *pages).read_bytes()


@pytest.mark.parametrize("per_cent", range(10, 100, 15))
def test_the_hint_for_a_cut_off_file_is_to_copy_it_again(tmp_path: Path, whole: bytes, per_cent: int) -> None:
    path = tmp_path / "cut.pdf"
    path.write_bytes(whole[: len(whole) * per_cent // 100])
    with pytest.raises(BrokenPdf, match="cut off") as caught, open_extraction(path) as extraction:
        list(extraction)
    assert "copy" in caught.value.hint


def test_a_whole_file_with_junk_after_its_end_is_read(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "junk.pdf"
    path.write_bytes(whole + b"\n" * 200)
    with open_extraction(path) as extraction:
        assert len(list(extraction)) == 5
