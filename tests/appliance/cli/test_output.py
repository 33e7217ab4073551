"""Printed tables fit the terminal and keep the parts of names that differ."""

import pytest
from rich.cells import cell_len

from appliance.cli.shared.output import cut_in_the_middle


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("short.pdf", 20, "short.pdf"),
        ("Policies 2025/Quarterly infection report.pdf", 20, "Polici…on report.pdf"),
        ("病院/感染対策マニュアル.pdf", 16, "病院/…ュアル.pdf"),
    ],
)
def test_long_names_keep_their_ends(text: str, room: int, shown: str) -> None:
    assert cut_in_the_middle(text, room) == shown
    assert cell_len(shown) <= room
