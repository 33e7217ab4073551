"""The store's rows in the shapes of the API."""

import pytest

from appliance.views import pages_named


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([3], "page 3"),
        ([3, 7], "pages 3 and 7"),
        ([3, 7, 8, 9, 12], "pages 3, 7 to 9 and 12"),
        (range(1, 5000), "pages 1 to 4999"),
        (range(1, 5000, 2), "2,500 pages (the first is page 1)"),
    ],
)
def test_page_numbers_are_told_as_people_write_them(numbers: list[int], words: str) -> None:
    assert pages_named(numbers) == words
