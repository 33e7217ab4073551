"""Pins are saved; pinned models are loaded at once and at every start, and stay in memory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.errors import ModelError
from models.residency.manager import ModelDefaults
from models.residency.pins import Pins
from tests.models.managed import kinds, managed, states, until


def test_pins_outlive_the_process_and_a_damaged_file_pins_nothing(tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    Pins(file).set("a", pinned=True)
    Pins(file).set("b", pinned=True)
    Pins(file).set("a", pinned=False)
    assert Pins(file).ids == {"b"}
    for damaged in ("", "{", "[]", '{"pinned": "b"}', '{"pinned": [1, null, "c"]}', "\x00"):
        file.write_text(damaged)
        assert Pins(file).ids <= {"c"}
    Pins(file).set("d", pinned=True)
    assert "d" in Pins(file)


def test_pins_set_concurrently_are_all_saved(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    names = [str(number) for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: pins.set(name, pinned=True), names))
    assert Pins(tmp_path / "pins.json").ids == set(names)


def test_a_pin_that_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "pins.json"
    pins = Pins(file)
    with pytest.raises(ModelError, match="could not be written"):
        pins.set("a", pinned=True)
    assert "a" not in pins


async def test_a_pinned_model_is_loaded_when_it_is_pinned_and_at_the_next_start(home: Path, tmp_path: Path) -> None:
    async with managed(home, state=tmp_path) as manager:
        assert (await manager.pin("a")).pinned
        await until(lambda: states(manager)["a"] == "loaded", 30)
    async with managed(home, state=tmp_path) as manager:
        await until(lambda: states(manager)["a"] == "loaded", 30)
        assert not (await manager.unpin("a")).pinned
    async with managed(home, state=tmp_path) as manager:
        assert states(manager)["a"] == "installed"


async def test_a_failed_preload_does_not_stop_the_others(home: Path) -> None:
    early = ModelDefaults(context=512, threads=1, preload=("refused", "nope", "b"))
    async with managed(home, early) as manager:
        await until(lambda: states(manager)["b"] == "loaded", 30)
        assert states(manager)["refused"] == "failed"
        assert "no model of this name" in " ".join(one.why for one in manager.report().decisions if one.model == "nope")
        assert kinds(manager, "refused").count("failed") >= 1
