"""Measured needs are kept, whatever happens to the file."""

from pathlib import Path

import pytest

from models.hardware.ram import RAM
from models.memory.measurements import Measurements
from models.memory.need import Need, Part

NEED = Need((Part("weights", RAM, 100), Part("kv", "gpu0", 7)), "measured")


def test_saved_needs_survive_a_restart(tmp_path: Path) -> None:
    first = Measurements(tmp_path / "m.json")
    first.put("a", NEED)
    assert Measurements(tmp_path / "m.json").get("a") is None
    first.save()
    assert Measurements(tmp_path / "m.json").get("a") == NEED
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 2, "needs": {}}',
        b'{"format": 1, "needs": {"a": {"source": "measured", "parts": [["weights", "ram", -1]]}}}',
        b'{"format": 1, "needs": {"a": {"source": "dreamt", "parts": []}}}',
        b'{"format": 1, "needs": {"a": {"source": "measured", "parts": [["soul", "ram", 1]]}}}',
        b'{"format": 1, "needs": {"a": {"source": "measured", "parts": [1]}}}',
        b'{"format": 1, "needs": [1]}',
        b"[" * 100_000,
        b" " * 5_000_000,
    ],
)
def test_a_damaged_file_counts_as_empty_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "m.json"
    file.write_bytes(content)
    found = Measurements(file)
    assert found.get("a") is None
    found.put("b", NEED)
    found.save()
    assert Measurements(file).get("b") == NEED


def test_the_oldest_needs_are_dropped() -> None:
    few = Measurements(None, most=2)
    for key in ("a", "b", "a", "c"):
        few.put(key, NEED)
    assert [few.get(key) is not None for key in "abc"] == [True, False, True]


def test_a_failed_write_is_logged_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lost = Measurements(tmp_path / "no folder" / "m.json")
    lost.put("a", NEED)
    lost.save()
    assert "could not be written" in caplog.text
    assert lost.get("a") == NEED
