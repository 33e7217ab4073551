"""The memory that the machine and its cgroups allow, and that a process uses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from models.hardware.ram import cpu_seconds, default_budget, measure, memory_limits


def cgroups(tmp_path: Path, lines: str, limits: dict[str, str]) -> tuple[Path, Path]:
    file = tmp_path / "self-cgroup"
    file.write_text(lines)
    for name, text in limits.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "fs", file


@pytest.mark.parametrize(
    ("lines", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1000\n", "memory.max": "5000\n"}),
        ("0::/docker/xyz\n", {"memory.max": "1000\n"}),  # inside a container only the mount itself is visible
        ("5:memory:/a\n3:cpu:/\n", {"memory/a/memory.limit_in_bytes": "1000\n"}),
        ("0::/../../etc\n", {"memory.max": "1000\n"}),
    ],
)
def test_the_budget_is_a_share_of_the_tightest_limit(tmp_path: Path, lines: str, limits: dict[str, str]) -> None:
    assert default_budget(*cgroups(tmp_path, lines, limits)) == 800


def test_without_limits_it_is_a_share_of_the_machine(tmp_path: Path) -> None:
    root, file = cgroups(tmp_path, "nonsense\n0::/\n", {"memory.max": "max\n"})
    assert default_budget(root, file) == int(psutil.virtual_memory().total * 0.8)


def test_memory_limits_of_the_cgroup_and_its_parents_are_read(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("5000\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    assert list(memory_limits(tmp_path / "cgroup", tmp_path)) == [5000]


def test_memory_limits_of_cgroup_1_are_read(tmp_path: Path) -> None:
    (tmp_path / "memory" / "x").mkdir(parents=True)
    (tmp_path / "memory" / "x" / "memory.limit_in_bytes").write_text("7000\n")
    (tmp_path / "cgroup").write_text("5:cpu,cpuacct:/x\n4:memory:/x\n")
    assert list(memory_limits(tmp_path / "cgroup", tmp_path)) == [7000]


def test_a_running_process_has_memory_and_time_and_an_exited_one_has_none() -> None:
    found = measure(os.getpid())
    assert found is not None
    assert found.private > 1_000_000
    assert cpu_seconds(os.getpid()) > 0
    assert (measure(2**22 - 1), cpu_seconds(2**22 - 1)) == (None, 0.0)


GROWING = """
import json, mmap, os, sys
from models.hardware.ram import measure

with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
    before = measure(os.getpid())
    mapped[::4096]
    own = b"x" * len(mapped)
    after = measure(os.getpid())
print(json.dumps([after.mapped - before.mapped, after.private - before.private]))
"""


def test_a_mapped_file_is_not_private_memory_and_an_allocation_is(tmp_path: Path) -> None:
    """Runs in a new process: one that has run for a while reuses memory it has freed, and does not grow."""
    size = 20_000_000
    (tmp_path / "file").write_bytes(bytes(size))
    command = [sys.executable, "-c", GROWING, str(tmp_path / "file")]
    mapped, private = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0.9 * size < mapped < 1.5 * size
    assert 0.9 * size < private < 1.5 * size


def test_where_proc_is_hidden_nothing_is_measured(tmp_path: Path) -> None:
    assert measure(os.getpid(), proc=tmp_path) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tzombie\nState:\tZ (zombie)\n")
    assert measure(7, proc=tmp_path) is None
