"""Sizes in messages are in units that people read."""

import pytest

from models.humanize import amount


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_bytes_are_given_in_powers_of_1024(size: int, words: str) -> None:
    assert amount(size) == words
