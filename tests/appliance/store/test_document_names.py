"""Paths as words for the search, and as displayed."""

import os
import random

import pytest

from appliance.display.path_names import display_name, from_display, shown_argument
from appliance.store.indexes.document_names import collection_of, search_name


@pytest.mark.parametrize(
    ("path", "title", "expected"),
    [
        (b"2022_Q3-AAPL.pdf", "", "2022 Q3 AAPL"),
        (b"contracts/ACME/LeaseAgreement.v2.PDF", "", "contracts ACME Lease Agreement v2"),
        (b"scan0001.pdf", "Annual  report 2021", "scan0001 Annual report 2021"),
        (b"annual_report_2021.pdf", "Annual Report 2021", "annual report 2021"),
        ("Übersicht.pdf".encode(), "", "Übersicht"),
        (b"caf\xe9.pdf", "", "caf\ufffd"),
        (b".pdf", "", ""),
    ],
)
def test_a_search_name_is_folders_file_and_what_the_title_adds(path: bytes, title: str, expected: str) -> None:
    assert search_name(path, title) == expected


def test_the_first_component_is_the_collection() -> None:
    assert [collection_of(path) for path in (b"a/b/c.pdf", b"a/c.pdf", b"c.pdf")] == [b"a", b"a", b""]


def test_bytes_that_are_not_utf8_are_shown_as_escapes() -> None:
    assert display_name("ü/".encode() + b"caf\xe9 \xf0.pdf") == "ü/caf\\xe9 \\xf0.pdf"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"two\nlines.pdf", r"two\nlines.pdf"),
        (b"\x1b]0;owned\x07.pdf", r"\x1b]0;owned\x07.pdf"),
        ("\u202efdp.pdf".encode(), r"\xe2\x80\xaefdp.pdf"),
        (b"plain \\ back\\slash.pdf", r"plain \ back\slash.pdf"),
        (rb"two\nlines.pdf", r"two\x5cnlines.pdf"),
        (rb"\xff", r"\x5cxff"),
        (b"\\\xff\\\n", "\\\\xff\\\\n"),
        (b"tab\there", r"tab\there"),
    ],
)
def test_control_and_invisible_characters_are_shown_as_escapes(path: bytes, shown: str) -> None:
    assert display_name(path) == shown
    assert from_display(shown) == path


def test_a_displayed_path_converts_back_to_the_path() -> None:
    chance = random.Random(4)
    pieces = [b"\\", b"x", b"n", b"f", b"0", b"\n", b"\xff", b"\xc3\xa9", b"\xc2", b"\x85", b"\xe2\x80\xae", b" "]
    for _ in range(5000):
        path = b"".join(chance.choices(pieces, k=chance.randrange(1, 9)))
        assert from_display(display_name(path)) == path
        assert display_name(path).isprintable()


def test_a_name_from_a_shell_is_converted_to_the_displayed_form() -> None:
    assert shown_argument(os.fsdecode(b"a\n\xff.pdf")) == r"a\n\xff.pdf" == shown_argument(r"a\n\xff.pdf")
