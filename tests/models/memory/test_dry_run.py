"""llama.cpp's own report of a load, from a real child; and children that send none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.child_process.spawner import Spawner
from models.formats.gguf_header import read_header
from models.hardware.ram import RAM
from models.memory.dry_run import DryRunFailed, dry_run
from models.memory.estimate import estimate, from_dry_run
from models.memory.repacking import repacked_here
from models.types import KvType, LoadSettings
from tests.gguf_builder import write_garbage, write_model
from tests.gguf_shapes import REAL, write_shape


@pytest.fixture(scope="module")
def spawner() -> Iterator[Spawner]:
    with Spawner() as one:
        yield one


@pytest.mark.parametrize(
    ("name", "kv_type", "context", "batch", "parallel"),
    [("qwen2.5-0.5b", "f16", 8192, 512, 4), ("mistral-7b", "q8_0", 4096, 128, 1), ("gemma3-1b", "f16", 8192, 128, 4)],
)
async def test_the_estimate_from_the_header_is_close_to_llama_cpps_own(
    tmp_path: Path, spawner: Spawner, name: str, kv_type: KvType, context: int, batch: int, parallel: int
) -> None:
    """Also pins the log format of the installed version: a different one fails here."""
    path = write_shape(tmp_path / "m.gguf", REAL[name])
    settings = LoadSettings(context=context, batch=batch, parallel=parallel, kv_type=kv_type)
    header, types = read_header(path), repacked_here()
    report = await dry_run(path, settings, spawner)
    said, guessed = from_dry_run(header, settings, report, types), estimate(header, settings, types)
    assert (said.source, guessed.source) == ("dry run", "header")
    assert (guessed.of("weights"), guessed.of("mapped")) == (said.of("weights"), said.of("mapped"))
    assert guessed.of("kv") == pytest.approx(said.of("kv"), rel=0.001)
    assert guessed.private == pytest.approx(said.private, rel=0.05)
    assert set(said.devices) == {RAM}
    assert 0 < report.baseline < report.process < 200e6


async def test_a_file_that_llama_cpp_refuses_gets_no_report(tmp_path: Path, spawner: Spawner) -> None:
    for path in (write_garbage(tmp_path / "garbage.gguf"), tmp_path / "absent.gguf"):
        with pytest.raises(DryRunFailed, match=r"magic|open|refused"):
            await dry_run(path, LoadSettings(), spawner)
    odd = write_model(tmp_path / "m.gguf")  # heads of 16 values, which blocks of 32 do not divide
    with pytest.raises(DryRunFailed, match="block size 32 does not divide"):
        await dry_run(odd, LoadSettings(kv_type="q8_0"), spawner)


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("dies", "ended with status 7: last words"),
        ("nonsense", "invalid report"),
        ("huge", "the limit"),
        ("silent", "no answer within"),
    ],
)
async def test_a_child_that_misbehaves_is_ended_and_reported(spawner: Spawner, mode: str, why: str) -> None:
    with pytest.raises(DryRunFailed, match=why):
        await dry_run(
            Path(mode),
            LoadSettings(),
            spawner,
            deadline_s=1.0 if mode == "silent" else 30.0,
            module="tests.models.memory.hostile_dry_run",
        )
