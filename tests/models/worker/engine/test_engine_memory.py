"""KV and adapters in the engine, on a tiny model that llama.cpp really loads."""

from pathlib import Path

import numpy as np
import pytest

from models.child_process.messages import AdapterUse, path_text
from models.types import LoadSettings
from models.worker.engine import BatchSpan, Engine, NoRoom
from tests.gguf_builder import write_adapter, write_model

SETTINGS = LoadSettings(context=256, threads=1, parallel=2, flash_attention=False, kv_type="f32")
TEXT = [1, *range(20, 80)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(path_text(write_model(tmp_path_factory.mktemp("memory") / "m.gguf")), SETTINGS)


@pytest.fixture(autouse=True)
def _empty(engine: Engine) -> None:
    for sequence in range(engine.sequences):
        engine.forget(sequence)


def after(engine: Engine, sequence: int, tokens: list[int], position: int) -> np.ndarray:
    """Decodes these tokens and returns the logits after the last."""
    engine.decode([BatchSpan(tokens, position, sequence, wanted=1)])
    return engine.logits(len(tokens) - 1).copy()


def test_shared_cut_and_restored_kv_equals_the_original(engine: Engine) -> None:
    expected = after(engine, 0, TEXT, 0)
    engine.share(0, 1, 0, 40)
    assert np.allclose(after(engine, 1, TEXT[40:], 40), expected, atol=1e-4)
    state = engine.save(0)
    assert engine.cut(0, 30)
    assert np.allclose(after(engine, 0, TEXT[30:], 30), expected, atol=1e-4)
    engine.forget(0)
    assert engine.restore(2, state)
    assert engine.cut(2, 60)
    assert np.allclose(after(engine, 2, TEXT[60:], 60), expected, atol=1e-4)
    assert engine.restore(2, state[: len(state) // 2]) is False


def test_each_of_several_wanted_tokens_has_the_logits_of_decoding_it_alone(engine: Engine) -> None:
    engine.decode([BatchSpan(TEXT[:50], 0, 0, wanted=0), BatchSpan(TEXT[:8], 0, 1, wanted=8)])
    together = [engine.logits(50 + at).copy() for at in range(8)]
    for at in range(8):
        engine.forget(2)
        assert np.allclose(after(engine, 2, TEXT[: at + 1], 0), together[at], atol=1e-4)


def test_a_batch_without_enough_cells_changes_nothing_and_is_not_a_failure(engine: Engine) -> None:
    full = [1] * 128
    engine.decode([BatchSpan(full, 0, 0, wanted=0)])
    engine.decode([BatchSpan(full[:120], 128, 0, wanted=0)])
    with pytest.raises(NoRoom):
        engine.decode([BatchSpan(TEXT, 0, 1, wanted=1)])
    engine.forget(0)
    first = after(engine, 1, TEXT, 0)
    assert np.isfinite(first).all()


def test_adapters_are_freed_once_unneeded_and_can_be_loaded_again(engine: Engine, tmp_path: Path) -> None:
    uses = {
        key: AdapterUse(key=key, path=path_text(write_adapter(tmp_path / f"{key}.gguf", seed=seed)), scale=1.0)
        for seed, key in enumerate("abc")
    }
    adapters = engine.adapters
    plain = after(engine, 0, TEXT, 0)
    for use in uses.values():
        adapters.load(use)
    sizes = {key: (tmp_path / f"{key}.gguf").stat().st_size for key in uses}
    assert adapters.held == sum(sizes.values())
    adapters.use((("a", 1.0),))
    adapters.drop(["a", "b", "unknown"], needed={"b"})
    assert adapters.held == sizes["b"] + sizes["c"]
    adapters.drop((), needed=set())
    assert adapters.held == sizes["c"]
    engine.forget(0)
    assert np.allclose(after(engine, 0, TEXT, 0), plain, atol=1e-4)  # the adapter that was applied is not any more
    adapters.load(uses["a"])
    adapters.use((("a", 1.0),))
    engine.forget(0)
    assert not np.allclose(after(engine, 0, TEXT, 0), plain, atol=1e-2)
    adapters.use(())


def test_an_adapter_loaded_again_before_it_was_freed_stays(engine: Engine, tmp_path: Path) -> None:
    use = AdapterUse(key="d", path=path_text(write_adapter(tmp_path / "d.gguf")), scale=1.0)
    engine.adapters.load(use)
    held = engine.adapters.held
    engine.adapters.drop(["d"], needed={"d"})
    engine.adapters.load(use)
    engine.adapters.drop((), needed=set())
    assert engine.adapters.held == held
