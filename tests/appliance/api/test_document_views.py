"""The store's rows in the shapes of the API."""

import pytest

from appliance.api.views.documents import pages_named, rfc3339


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
def test_page_numbers_are_formatted_as_people_write_them(numbers: list[int], words: str) -> None:
    assert pages_named(numbers) == words


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (300_000_000_000, "9999-12-31T23:59:59Z"),
        (-300_000_000_000, "0001-01-01T00:00:00Z"),
        (1 << 62, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_file_time_outside_the_calendar_is_clamped_to_it(seconds: int, shown: str) -> None:
    assert rfc3339(seconds * 1_000_000_000 + 1) == shown
