"""The memory of a recommended model follows from its shape, and a suggested model fits."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.acquisition.file_choice import quantisation_of, why_not
from models.acquisition.recommended import CATALOGUE, DEFAULT, Machine, by_name, copy_rate, speed_class, suggest
from models.catalog.installer import ID_PATTERN

GB = 10**9


def machine(memory: float = 64, disk: float = 500, cores: int = 8, rate: float = 10) -> Machine:
    return Machine(int(memory * GB), int(disk * GB), cores, rate * GB)


@pytest.mark.parametrize("model", CATALOGUE, ids=lambda model: model.id)
def test_an_entry_is_plausible(model: object) -> None:
    assert model in CATALOGUE
    entry = next(one for one in CATALOGUE if one is model)
    assert ID_PATTERN.fullmatch(entry.id)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repo)
    assert not why_not(entry.file)
    assert quantisation_of(entry.file) in ("Q4_K_M", "Q4")
    assert 4.0 < 8 * entry.size / entry.parameters < 7.5  # bits a weight of Q4_K_M, with larger embeddings
    assert entry.licence
    assert entry.width % 32 == 0


def test_names_are_unique_and_the_default_is_first() -> None:
    assert len({model.id for model in CATALOGUE}) == len(CATALOGUE)
    assert CATALOGUE[0].id == DEFAULT
    assert by_name(DEFAULT.upper()) is CATALOGUE[0]
    assert by_name("owner/name") is None


def test_the_cache_follows_from_the_shape() -> None:
    model = CATALOGUE[0]
    assert model.kv_bytes(8192) == 32 * 8 * (128 + 128) * 2 * 8192 == 1 << 30
    assert model.kv_bytes(8192, "q8_0") == (1 << 30) * 34 // 64
    assert model.kv_bytes(1 << 20) == model.kv_bytes(model.context)


def test_a_large_machine_gets_the_default() -> None:
    assert [one.model.id for one in suggest(machine(), 8192) if one.best] == [DEFAULT]


def test_a_small_machine_gets_a_small_model_and_the_reason_for_the_others() -> None:
    found = {one.model.id: one for one in suggest(machine(memory=2, cores=2, rate=5), 8192)}
    (best,) = (one for one in found.values() if one.best)
    assert best.need <= 2 * GB
    assert "needs 5.5 GB of memory, the budget is 2.0 GB" in found[DEFAULT].why_not


def test_a_shorter_context_that_would_fit_is_named() -> None:
    reasons = {one.model.id: one.why_not for one in suggest(machine(memory=5.1), 8192)}
    assert "it fits with a context of 4,096" in reasons[DEFAULT]


def test_a_slow_machine_gets_a_model_that_is_not_slow() -> None:
    (best,) = (one for one in suggest(machine(rate=1, cores=2), 8192) if one.best)
    assert best.tokens_per_second >= 3


def test_a_model_that_does_not_fit_on_the_disk_is_not_suggested() -> None:
    assert all("on the disk" in one.why_not for one in suggest(machine(disk=0.1), 8192))


def test_a_licence_against_commercial_use_is_never_the_suggestion() -> None:
    assert not [one for one in suggest(machine(), 4096, [by_name("qwen2.5-3b-instruct")]) if one.best]  # type: ignore[list-item]


@given(
    st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 256), st.floats(1e6, 1e12), st.integers(256, 1 << 20)
)
def test_a_suggested_model_fits(memory: int, disk: int, cores: int, rate: float, context: int) -> None:
    found = suggest(Machine(memory, disk, cores, rate), context)
    best = [one for one in found if one.best]
    assert len(found) == len(CATALOGUE)
    assert len(best) <= 1
    for one in found:
        assert bool(one.why_not) == (one.need > memory or one.model.size + (64 << 20) > disk)
        assert not (one.best and one.why_not)


def test_speeds_are_classes() -> None:
    assert [speed_class(rate) for rate in (0.5, 3, 8, 50)] == ["very slow", "slow", "as fast as one reads", "fast"]


def test_the_copy_rate_is_measured() -> None:
    assert 1e8 < copy_rate(1 << 20) < 1e12
