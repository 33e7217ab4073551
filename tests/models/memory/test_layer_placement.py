"""How many layers fit on which GPU."""

import pytest

from models.formats.gguf_header import GgufHeader, read_header
from models.hardware.ram import RAM
from models.memory.estimate import estimate, gpu_overhead, layer_bytes
from models.memory.layer_placement import devices_of_layers, fitting_layers
from models.types import LoadSettings
from tests.gguf_shapes import REAL, write_shape

SETTINGS = LoadSettings(context=4096)


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    return read_header(write_shape(tmp_path_factory.mktemp("shape") / "m.gguf", REAL["mistral-7b"]))


def test_the_output_and_the_last_layers_come_first(header: GgufHeader) -> None:
    assert devices_of_layers(5, 2, {"gpu0": 10}) == [RAM, RAM, RAM, "gpu0", "gpu0"]
    assert devices_of_layers(5, 99, {"gpu0": 10}) == ["gpu0"] * 5
    assert devices_of_layers(5, 3, {}) == devices_of_layers(5, 0, {"gpu0": 10}) == [RAM] * 5


def test_several_gpus_share_by_their_free_memory() -> None:
    assert devices_of_layers(8, 8, {"gpu0": 30, "gpu1": 10}) == ["gpu0"] * 6 + ["gpu1"] * 2


def test_as_many_layers_are_placed_as_fit_and_not_one_more(header: GgufHeader) -> None:
    sizes = layer_bytes(header, SETTINGS)
    for wanted in (0, 1, 7, len(sizes)):
        room = gpu_overhead(header, SETTINGS) + sum(sizes[len(sizes) - wanted :])
        assert fitting_layers(header, SETTINGS, {RAM: 0, "gpu0": room}) == wanted
        if wanted:
            assert fitting_layers(header, SETTINGS, {"gpu0": room - 1}) == wanted - 1
    assert fitting_layers(header, SETTINGS, {RAM: 1 << 40}) == 0


def test_what_is_placed_on_a_gpu_is_predicted_there(header: GgufHeader) -> None:
    limits = {RAM: 64 << 30, "gpu0": 3 << 30, "gpu1": 1 << 30}
    layers = fitting_layers(header, SETTINGS, limits)
    places = devices_of_layers(header.layers + 1, layers, {"gpu0": 3 << 30, "gpu1": 1 << 30})
    need = estimate(header, SETTINGS, frozenset({"Q4_0"}), places)
    assert 0 < layers < header.layers
    assert {RAM, "gpu0", "gpu1"} == set(need.devices)
    assert all(size <= limits[device] for device, size in need.devices.items())
    alone = estimate(header, SETTINGS, frozenset({"Q4_0"}))
    assert need.of("weights") + need.of("mapped") == alone.of("weights") + alone.of("mapped")
    assert need.of("kv") == alone.of("kv")
