"""Similar names are suggested for one that does not exist, also among very many."""

import time

import pytest

from appliance.api.similar_names import MOST, nearest

PATHS = ["law/lease.pdf", "tax/lease.pdf", "Report 2024.pdf", "Report 2023.pdf", "a"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("lese.pdf", {"law/lease.pdf", "tax/lease.pdf"}),
        ("Reprot 2024.pdf", {"Report 2024.pdf", "Report 2023.pdf"}),
        ("REPORT 2024.PDF", {"Report 2024.pdf", "Report 2023.pdf"}),
        ("nothing like it", set()),
        ("b", set()),
        ("", set()),
    ],
)
def test_similar_names_are_found(name: str, found: set[str]) -> None:
    assert set(nearest(name, PATHS)) == found


@pytest.mark.parametrize(
    ("name", "first"), [("lwa/lease.pdf", "law/lease.pdf"), ("tx/lease.pdf", "tax/lease.pdf"), ("A", "a")]
)
def test_the_most_similar_is_first_and_the_path_decides_between_namesakes(name: str, first: str) -> None:
    assert nearest(name, PATHS)[0] == first


def test_the_most_similar_of_very_many_is_found_quickly() -> None:
    paths = [f"c{number % 7}/report-{number:05} of the works.pdf" for number in range(20_000)]
    for name in ("reprot-12345 of the works.pdf", "c4/" + "report-12345 of the works" * 1000):
        began = time.process_time()
        found = nearest(name, paths)
        assert time.process_time() - began < 2  # all of them, compared letter by letter, take 5 s
        assert len(found) in (0, MOST)
    assert nearest("reprot-12345 of the works.pdf", paths)[0] == "c4/report-12345 of the works.pdf"
