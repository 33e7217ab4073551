"""The GPUs of a machine, from a fake NVML, since a test machine need not have one."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from models.hardware.gpus import Devices, Gpu


class Refused(Exception):
    """NVML's error."""


class Library:
    """Two GPUs; the second does not report which processes use it."""

    NVMLError = Refused

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, at: int) -> int:
        return at

    def nvmlDeviceGetUUID(self, at: int) -> str:
        return ("GPU-aaaa", "GPU-bbbb")[at]

    def nvmlDeviceGetName(self, at: int) -> bytes:
        return b"card %d" % at

    def nvmlDeviceGetMemoryInfo(self, at: int) -> Any:
        return SimpleNamespace(total=1000 * (at + 1), used=300)

    def nvmlDeviceGetComputeRunningProcesses(self, at: int) -> list[Any]:
        if at:
            raise Refused
        return [SimpleNamespace(pid=os.getpid(), usedGpuMemory=120), SimpleNamespace(pid=1, usedGpuMemory=None)]


def devices(visible: str | None = None) -> Devices:
    return Devices(Library, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})


def test_gpus_are_listed_with_their_memory() -> None:
    assert devices().gpus() == (Gpu("gpu0", "card 0", 1000, 300), Gpu("gpu1", "card 1", 2000, 300))


@pytest.mark.parametrize(
    ("visible", "names"),
    [("1", ["card 1"]), ("1,0", ["card 1", "card 0"]), ("", []), ("GPU-bb", ["card 1"]), ("7,GPU-x", [])],
)
def test_gpus_hidden_from_cuda_are_absent_and_the_order_is_that_of_cuda(visible: str, names: list[str]) -> None:
    assert [gpu.name for gpu in devices(visible).gpus()] == names


def test_a_budget_is_a_share_less_what_others_use() -> None:
    assert devices().budgets(0.9) == {"gpu0": 600, "gpu1": 1500}
    assert devices().budgets(0.9, ours={"gpu0": 250}) == {"gpu0": 850, "gpu1": 1500}


def test_a_process_is_measured_as_far_as_nvml_knows_it() -> None:
    found = devices().measure(os.getpid())
    assert found is not None
    assert found.private > 1_000_000
    assert found.gpus == {"gpu0": 120}
    assert devices().measure(2**22 - 1) is None


def test_without_nvml_there_are_no_gpus() -> None:
    none = Devices(lambda: None)
    assert (none.gpus(), none.budgets(), none.used_by(1)) == ((), {}, {})
    assert isinstance(Devices().gpus(), tuple)  # the real one, whatever this machine has
