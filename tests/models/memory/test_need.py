"""Sizes in the units that people read."""

import pytest

from appliance.display import humanize
from models.memory.need import amount


@pytest.mark.parametrize("size", [0, 1023, 1024, 1536, 5 << 30, 1 << 40, 3 << 50])
def test_models_and_commands_write_a_size_alike(size: int) -> None:
    assert amount(size) == humanize.amount(size)


def test_five_gibibytes_read_as_such() -> None:
    assert amount(5_368_709_120) == "5.0 GiB"
