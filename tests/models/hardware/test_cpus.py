"""The number of CPUs is that which the affinity mask and the quotas allow."""

import os
from pathlib import Path

import pytest

from models.hardware.cpus import effective_cpus


def cpus(tmp_path: Path, cgroup: str, files: dict[str, str], affinity: int = 16) -> int:
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    (tmp_path / "cgroup").write_text(cgroup)
    return effective_cpus(tmp_path / "cgroup", tmp_path / "fs", affinity)


def test_on_this_machine_it_is_at_least_one_and_at_most_the_affinity_mask() -> None:
    assert 1 <= effective_cpus() <= len(os.sched_getaffinity(0))


def test_without_a_readable_cgroup_the_affinity_mask_counts(tmp_path: Path) -> None:
    assert effective_cpus(tmp_path / "none", tmp_path, 3) == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000", 16), ("400000 100000", 4), ("150000 100000", 2), ("10000 100000", 1), ("", 16), ("rubbish x", 16)],
)
def test_cgroup_2_quota_is_rounded_up(tmp_path: Path, content: str, expected: int) -> None:
    assert cpus(tmp_path, "0::/a.service\n", {"a.service/cpu.max": content}) == expected


def test_the_tightest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {
        "cpu.max": "max 100000",
        "system.slice/cpu.max": "200000 100000",
        "system.slice/a/cpu.max": "800000 100000",
    }
    assert cpus(tmp_path, "0::/system.slice/a\n", files) == 2


def test_inside_a_container_the_mount_itself_holds_the_quota(tmp_path: Path) -> None:
    assert cpus(tmp_path, "0::/docker/abc\n", {"cpu.max": "300000 100000"}) == 3
    assert cpus(tmp_path, "0::/../other\n", {"cpu.max": "300000 100000"}) == 3


def test_cgroup_1_quota(tmp_path: Path) -> None:
    lines = "12:memory:/a\n4:cpu,cpuacct:/a\n"
    files = {"cpu,cpuacct/a/cpu.cfs_quota_us": "250000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}
    assert cpus(tmp_path, lines, files) == 3


def test_cgroup_1_without_a_quota(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert cpus(tmp_path, "4:cpu:/\n", files) == 16


def test_a_narrow_affinity_mask_wins_over_a_wide_quota(tmp_path: Path) -> None:
    assert cpus(tmp_path, "0::/\n", {"cpu.max": "800000 100000"}, affinity=2) == 2
