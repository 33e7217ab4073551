"""What one load counts in the budget: its reservation, its adapters, and the growth of its process."""

from types import SimpleNamespace
from typing import cast

from models.adapters.catalog import AdapterSpec
from models.catalog.catalog import ModelSpec
from models.hardware.ram import Measured
from models.memory.need import Part
from models.residency.resident import Resident, ResidentAdapter
from models.types import LoadSettings

PARTS = (Part("mapped", "ram", 50), Part("weights", "gpu0", 150), Part("kv", "ram", 30), Part("cache", "ram", 20))


def resident() -> Resident:
    spec = cast("ModelSpec", SimpleNamespace(id="m"))
    return Resident(spec, LoadSettings(), PARTS, "header", last_used=0.0)


def test_model_cache_and_adapters_are_separate_holders_that_add_up_to_the_reservation() -> None:
    one = resident()
    spec = cast("AdapterSpec", SimpleNamespace(id="polite"))
    one.adapters["abc"] = ResidentAdapter(spec, one.adapter_devices(40), last_used=5.0, leases=1)
    assert one.adapters["abc"].devices == {"ram": 10, "gpu0": 30}, "an adapter lies where the weights lie"
    model, cache, adapter = one.holders(now=10.0, pinned=True)
    assert (model.devices, cache.devices) == ({"ram": 80, "gpu0": 150}, {"ram": 20})
    assert (model.pinned, cache.pinned, adapter.idle, adapter.idle_s) == (True, False, False, 5.0)
    assert cache.key.owner == adapter.key.owner == model.key
    assert one.reserved() == {"ram": 110, "gpu0": 180}


def test_growth_is_measured_on_private_memory_and_reported_only_when_it_increases() -> None:
    one = resident()
    assert not one.note_measured(Measured(private=50, mapped=9_000))
    assert one.note_measured(Measured(private=75, gpus={"gpu0": 140}))
    assert one.grown == {"ram": 25}
    assert next(one.holders(0.0, pinned=False)).devices["ram"] == 80 + 25
    assert not one.note_measured(Measured(private=75))
    assert one.note_measured(Measured(private=75, gpus={"gpu0": 160}))
    assert not one.note_measured(Measured(private=40))
    assert one.grown == {}


def test_measured_use_counts_file_pages_only_up_to_the_weights() -> None:
    one = resident()
    assert one.used is None
    one.note_measured(Measured(private=40, mapped=9_000, gpus={"gpu0": 7}))
    assert one.used == 40 + 50 + 7
