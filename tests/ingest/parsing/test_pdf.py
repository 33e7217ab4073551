"""Freeing memory while reading a long document costs no page of a damaged one."""

from random import Random
from typing import Any

import pymupdf
import pytest

from ingest.parsing import pdf
from ingest.parsing.file_type import PDF

PAGES = 40
VARIANTS: dict[str, dict[str, Any]] = {
    "objects one by one": {"deflate": True},
    "objects in streams": {"use_objstms": 1, "deflate": True, "garbage": 3},
    "encrypted": {"use_objstms": 1, "garbage": 3, "encryption": pymupdf.PDF_ENCRYPT_AES_128, "owner_pw": "o"},
}


def document(**saved: Any) -> bytes:
    made: Any = pymupdf.open()
    for number in range(PAGES):
        made.new_page().insert_text((72, 72), f"page {number + 1} alpha beta gamma")
    return bytes(made.tobytes(**saved))


def damaged(whole: bytes, seed: int) -> bytes:
    """The document with bytes changed, inserted or removed somewhere in its second half."""
    chance = Random(seed)
    at = chance.randrange(len(whole) // 2, len(whole) - 60)
    more = chance.choice([chance.randbytes(30), b"%x\n" * 5, b""])
    return whole[:at] + more + whole[at + chance.choice([0, 30]) :]


def read(content: bytes) -> list[tuple[bool, str]] | None:
    try:
        reader = pdf.PdfReader(memoryview(content), PDF)
    except pdf.IngestError:
        return None
    return [(raw["damaged"], raw["text"]) for raw, _ in reader.pages(0)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_freeing_memory_costs_no_page_of_a_damaged_document(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = document(**VARIANTS[variant])
    files = [whole, *(damaged(whole, seed) for seed in range(25))]
    expected = [read(one) for one in files]
    monkeypatch.setattr(pdf, "_MANY_PAGES", 1)
    assert [read(one) for one in files] == expected
