"""The estimate of a load gets better with every step, and never worse."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from models.catalog.catalog import ModelSpec
from models.child_process.spawner import Spawner
from models.formats.gguf_header import read_header
from models.hardware.gpus import Devices
from models.hardware.ram import RAM, Measured
from models.humanize import amount
from models.memory.estimate import estimate
from models.memory.estimator import Estimator
from models.memory.measurements import Measurements
from models.memory.repacking import repacked_here
from models.types import KV_BYTES, LoadSettings
from tests.gguf_builder import Shape, write_model
from tests.gguf_shapes import REAL, Real, write_shape
from tests.models.managed import Clock
from tests.models.memory.filled_child import run

SETTINGS = LoadSettings(context=2048, threads=1)
SMALL = Real("llama", 10, 768, 2048, 12, 4, vocabulary=24_000, context=4096)  # 100 MB in 8 bits


def spec_of(path: Path, sha256: str = "0" * 64) -> ModelSpec:
    return ModelSpec("m", path, path.stat().st_size, sha256, "", "m.gguf", read_header(path))


@asynccontextmanager
async def estimator(store: Measurements | None = None, **options: object) -> AsyncIterator[Estimator]:
    with Spawner() as spawner:
        yield Estimator(spawner, store or Measurements(None), Devices(lambda: None), **options)  # type: ignore[arg-type]


async def test_each_step_replaces_the_one_before_and_survives_a_restart(tmp_path: Path) -> None:
    spec, file = spec_of(write_model(tmp_path / "m.gguf")), tmp_path / "needs.json"
    async with estimator(Measurements(file)) as one:
        assert one.quick(spec, SETTINGS).source == "header"
        said = await one.refine(spec, SETTINGS)
        assert said.source == one.quick(spec, SETTINGS).source == "dry run"
        seen = await one.remember(spec, SETTINGS, Measured(private=said.private + 10_000_000))
        assert (seen.source, seen.private) == ("measured", said.private + 10_000_000)
        assert (await one.refine(spec, SETTINGS)) == seen
    async with estimator(Measurements(file)) as two:
        assert two.quick(spec, SETTINGS) == seen
        assert two.quick(spec, SETTINGS.model_copy(update={"threads": 2})).source == "header"
        assert two.quick(replace(spec, sha256="1" * 64), SETTINGS).source == "header"


async def test_the_largest_measurement_counts(tmp_path: Path) -> None:
    spec = spec_of(write_model(tmp_path / "m.gguf"))
    async with estimator() as one:
        high = await one.remember(spec, SETTINGS, Measured(private=300_000_000))
        assert (await one.remember(spec, SETTINGS, Measured(private=200_000_000))) == high
        more = await one.remember(spec, SETTINGS, Measured(private=400_000_000))
        assert (high.private, more.private) == (300_000_000, 400_000_000)


async def test_buffers_not_touched_yet_are_added_to_the_measurement(tmp_path: Path) -> None:
    spec = spec_of(write_shape(tmp_path / "m.gguf", REAL["qwen2.5-3b"]))
    async with estimator() as one:
        first = one.quick(spec, SETTINGS)
        untouched = await one.remember(spec, SETTINGS, Measured(private=first.private - first.of("compute")))
        assert untouched.private == first.private
        less = await one.remember(spec, SETTINGS, Measured(private=first.private - first.of("compute") - 5_000_000))
        assert less.private == first.private  # a lower one does not replace it


async def test_memory_for_cached_prompts_is_added_to_every_estimate(tmp_path: Path) -> None:
    spec = spec_of(write_model(tmp_path / "m.gguf"))
    caching = SETTINGS.model_copy(update={"cache_bytes": 50_000_000})
    async with estimator() as one:
        assert one.quick(spec, caching).ram - one.quick(spec, SETTINGS).ram == 50_000_000
        seen = await one.remember(spec, caching, Measured(private=300_000_000))
        assert (seen.private, seen.of("cache")) == (350_000_000, 50_000_000)
        assert one.quick(spec, SETTINGS).private == 300_000_000


async def test_a_failed_dry_run_falls_back_to_the_header_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_model(tmp_path / "dies")
    async with estimator(module="tests.models.memory.hostile_dry_run") as one:
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                assert (await one.refine(spec_of(path), SETTINGS)).source == "header"
    assert caplog.text.count("from its header only") == 1
    assert "last words" in caplog.text


async def test_a_failed_dry_run_is_retried_after_some_minutes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The reason may have passed: no process could be started, or the machine was slow."""
    path, clock = write_model(tmp_path / "dies"), Clock()
    async with estimator(module="tests.models.memory.hostile_dry_run", clock=clock) as one:
        await one.refine(spec_of(path), SETTINGS)
        clock.now += 301
        await one.refine(spec_of(path), SETTINGS)
    assert caplog.text.count("from its header only") == 2


async def test_without_a_gpu_everything_is_placed_on_the_cpu(tmp_path: Path) -> None:
    spec = spec_of(write_model(tmp_path / "m.gguf"))
    wish = SETTINGS.model_copy(update={"gpu_layers": 5})
    async with estimator() as one:
        assert (await one.placed(spec, wish, {RAM: 1 << 40})).gpu_layers == 0
        # the installed llama.cpp is asked before layers are given to a GPU that it may not be able to use
        assert (await one.placed(spec, wish, {RAM: 1 << 40, "gpu0": 1 << 40})).gpu_layers in (0, 3)


async def test_settings_that_would_fit_are_named_with_their_size_and_do_fit(tmp_path: Path) -> None:
    spec = spec_of(write_shape(tmp_path / "m.gguf", REAL["mistral-7b"]))
    wish = LoadSettings(context=32_768, batch=512, kv_type="f16")
    async with estimator() as one:
        need = one.quick(spec, wish)
        limits = {RAM: need.ram - need.of("kv") * 6 // 10}
        words = one.smaller(spec, wish, limits)
        assert [line.split(" needs ")[0] for line in words[:2]] == ["context 8192", "kv_type q4_0"]
        smaller = wish.model_copy(update={"context": 8192})
        assert amount(one.quick(spec, smaller).ram) in words[0]
        assert one.quick(spec, smaller).ram <= limits[RAM]
        assert one.quick(spec, wish.model_copy(update={"context": 16_384})).ram > limits[RAM]


async def test_when_no_single_change_fits_several_are_suggested_and_then_a_smaller_file(tmp_path: Path) -> None:
    spec = spec_of(write_shape(tmp_path / "m.gguf", REAL["mistral-7b"]))
    async with estimator() as one:
        lean = LoadSettings(context=2048, kv_type="q4_0")
        wish = LoadSettings(context=32_768, batch=512)
        (words, *_) = one.smaller(spec, wish, {RAM: one.quick(spec, lean).ram})
        assert "context" in words
        assert "kv_type" in words
        weights = one.quick(spec, lean).of("weights")
        (words,) = one.smaller(spec, LoadSettings(context=512, kv_type="q4_0"), {RAM: weights})
        assert "a smaller quantisation of at most" in words
        assert one.smaller(spec, wish, {RAM: 100_000_000}) == []


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("tiny", LoadSettings(context=512, batch=64, parallel=1)),
        ("Q8_0", LoadSettings(context=512, batch=128, parallel=4)),
        ("Q4_0", LoadSettings(context=1024, batch=256, parallel=2, kv_type="q8_0")),
    ],
)
async def test_a_child_that_fills_its_context_peaks_at_the_prediction(
    tmp_path: Path, kind: str, settings: LoadSettings
) -> None:
    """The short form of benchmarks/memory.py, which has models up to 3 B parameters."""
    path = tmp_path / "m.gguf"
    if kind == "tiny":
        write_model(path, shape=Shape(context=2048))
    else:
        write_shape(path, SMALL, gguf.GGMLQuantizationType[kind])
    spec = spec_of(path)
    async with estimator() as one:
        predicted = [one.quick(spec, settings), await one.refine(spec, settings)]
        found = await asyncio.to_thread(run, path, settings, settings.context)
        predicted.append(await one.remember(spec, settings, Measured(private=found["loaded"])))
    assert [need.source for need in predicted] == ["header", "dry run", "measured"]
    off = [abs(need.private / found["peak"] - 1) for need in predicted]
    assert max(off) < 0.1, off
    assert off[2] < 0.05, off


def test_an_estimate_grows_with_the_context_up_to_the_models_own(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "m.gguf", shape=Shape(context=4096)))
    small, large = (estimate(header, LoadSettings(context=size), repacked_here()) for size in (256, 4096))
    assert large.of("kv") - small.of("kv") == sum(layer.values for layer in header.cache) * KV_BYTES["f16"] * (
        4096 - 256
    )
    assert estimate(header, LoadSettings(context=1_000_000), frozenset()).of("kv") == large.of("kv")
