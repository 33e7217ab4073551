"""The folders of a process's cgroup are found for both versions of cgroups."""

from pathlib import Path

import pytest

from models.hardware.cgroups import cgroups_with


@pytest.mark.parametrize(
    ("line", "version", "folders"),
    [
        ("0::/a/b", 2, ["a/b", "a", ""]),
        ("0::/", 2, [""]),
        ("0::/../a", 2, [""]),  # outside this namespace
        ("5:memory:/a", 1, ["memory/a", "memory"]),
        ("5:cpu,memory:/a", 1, ["cpu,memory/a", "cpu,memory"]),
    ],
)
def test_the_folders_lead_from_the_cgroup_up_to_the_mount(
    tmp_path: Path, line: str, version: int, folders: list[str]
) -> None:
    (tmp_path / "cpu,memory").mkdir()
    (tmp_path / "cgroup").write_text(f"nonsense\n7:pids:/a\n{line}\n")
    (found,) = cgroups_with("memory", tmp_path / "cgroup", tmp_path)
    assert (found.version, list(found.folders)) == (version, [tmp_path / name for name in folders])


def test_without_a_readable_file_there_are_none(tmp_path: Path) -> None:
    assert not list(cgroups_with("cpu", tmp_path / "none", tmp_path))
