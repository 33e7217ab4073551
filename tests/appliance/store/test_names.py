"""Paths for people and for the search."""

import pytest

from appliance.store.names import collection_of, display, search_name


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


def test_what_is_not_utf8_is_shown_with_escapes_and_the_rest_as_it_is() -> None:
    assert display("ü/".encode() + b"caf\xe9 \xf0.pdf") == "ü/caf\\xe9 \\xf0.pdf"
