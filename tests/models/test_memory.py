"""What the machine and its cgroups give, and what a process uses."""

import mmap
import os
from pathlib import Path

import psutil
import pytest

from models.memory import cpu_seconds, default_budget, measure, owned_bytes


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


def test_a_process_s_own_memory_and_time_are_read_and_a_gone_one_has_none() -> None:
    owned = owned_bytes(os.getpid())
    assert owned is not None
    assert owned > 1_000_000
    assert cpu_seconds(os.getpid()) > 0
    assert (owned_bytes(2**22 - 1), cpu_seconds(2**22 - 1)) == (None, 0.0)


def test_a_file_that_is_mapped_is_not_its_own_memory_and_what_it_allocates_is(tmp_path: Path) -> None:
    size = 20_000_000
    (tmp_path / "file").write_bytes(bytes(size))
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        before = measure(os.getpid())
        assert before is not None
        assert mapped[::4096].count(0) == -(-size // 4096)
        own = bytearray(b"x") * size
        after = measure(os.getpid())
        assert after is not None
        assert after.mapped - before.mapped > 0.9 * size
        assert 0.9 * size < after.private - before.private < 1.5 * size
        del own


def test_where_proc_is_hidden_nothing_is_measured(tmp_path: Path) -> None:
    assert measure(os.getpid(), proc=tmp_path) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tzombie\nState:\tZ (zombie)\n")
    assert measure(7, proc=tmp_path) is None
