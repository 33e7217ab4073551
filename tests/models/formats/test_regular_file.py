"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest

from models.formats.regular_file import replace_whole


def test_a_file_is_replaced_and_nothing_else_remains(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    for content in (b"old", b"new"):
        replace_whole(file, content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_failed_replacement_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    folder = tmp_path / "file.json"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_whole(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]
