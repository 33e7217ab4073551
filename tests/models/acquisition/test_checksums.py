"""Checksum files beside a model are read as sha256sum writes them; one that cannot be parsed is not ignored."""

import os
from pathlib import Path

import pytest

from models.acquisition.checksums import expected_sha256
from models.errors import InvalidModelFile

SUM, OTHER = "a1" * 32, "b2" * 32


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.gguf.sha256", SUM),
        ("m.gguf.sha256", f"{SUM.upper()}\r\n"),
        ("m.gguf.sha256", f"\ufeff{SUM}  m.gguf\n"),
        ("m.gguf.sha256", f"# made today\n{SUM} *./sub/m.gguf\n"),
        ("SHA256SUMS", f"{OTHER}  n.gguf\n{SUM}  m.gguf\n"),
        ("sha256sums.txt", f"{OTHER}  am.gguf\n{SUM} *m.gguf"),
    ],
)
def test_a_sum_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert expected_sha256(tmp_path / "m.gguf") == SUM


@pytest.mark.parametrize("text", ["", f"{OTHER}  n.gguf\n", f"{OTHER}\n", "\0" * 5000])
def test_a_list_that_does_not_name_the_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "SHA256SUMS").write_text(text)
    assert expected_sha256(tmp_path / "m.gguf") == ""


@pytest.mark.parametrize("text", ["", "abc", f"{SUM[:-1]}  m.gguf", f"{OTHER}  n.gguf"])
def test_a_file_s_own_checksum_that_cannot_be_parsed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.gguf.sha256").write_text(text)
    with pytest.raises(InvalidModelFile, match="holds no sha256"):
        expected_sha256(tmp_path / "m.gguf")


def test_a_pipe_as_checksum_file_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.gguf.sha256")
    with pytest.raises(InvalidModelFile, match="not a regular file"):
        expected_sha256(tmp_path / "m.gguf")
