"""A model's file is replaced, switched, removed or changed while the service has it loaded.

Running answers end undisturbed, and no answer comes from a file that was not installed.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from appliance import wire
from appliance.errors import ApiError
from models.catalog.catalog import Catalog, ModelSpec
from tests.gguf_builder import Shape, write_model
from tests.live import Live, live_service, short_home, wait_until

SHAPE = Shape(context=2048)


@pytest.fixture(scope="module")
def running() -> Iterator[Live]:
    with short_home() as home, live_service(Path(home)) as live:
        yield live


@pytest.fixture
def pump(running: Live, tmp_path: Path) -> Iterator[ModelSpec]:
    catalog = Catalog(running.places.models)
    spec = catalog.import_gguf(write_model(tmp_path / "old.gguf", shape=SHAPE), model_id="pump")
    running.client.rescan_models()
    yield spec
    wait_until(lambda: unloaded(running), "the model to be unloaded")
    Catalog(running.places.models).remove("pump")
    running.client.rescan_models()


def unloaded(live: Live) -> bool:
    """Whether the model could be unloaded; False while it is loading or answering."""
    try:
        return live.client.model_action("pump", "unload").state != "loaded"
    except ApiError:
        return False


def shown(live: Live) -> wire.Model:
    return next(model for model in live.client.models() if model.id == "pump")


def replace(live: Live, folder: Path) -> ModelSpec:
    source = write_model(folder / "new.gguf", shape=SHAPE, seed=2)
    return Catalog(live.places.models).import_gguf(source, model_id="pump", replace=True)


def completing(live: Live, tokens: int) -> Iterator[str]:
    """Yields the pieces of a completion as they arrive, then its finish reason."""
    transport = httpx2.HTTPTransport(uds=str(live.places.socket))
    body = {
        "model": "pump",
        "prompt": "the pump is",
        "max_tokens": tokens,
        "stream": True,
        "temperature": 1.0,
        "seed": 1,
    }
    with (
        httpx2.Client(transport=transport, base_url="http://docent", timeout=60) as client,
        client.stream("POST", "/v1/completions", json=body) as response,
    ):
        for line in response.iter_lines():
            if line.startswith("data: {"):
                choice = json.loads(line.removeprefix("data: "))["choices"][0]
                yield choice["finish_reason"] or choice["text"]


def test_a_replacement_is_listed_and_running_answers_finish_with_the_old_version(
    running: Live, pump: ModelSpec, tmp_path: Path
) -> None:
    answer = completing(running, 400)
    next(answer)
    new = replace(running, tmp_path)
    running.client.rescan_models()
    assert (shown(running).version, shown(running).versions) == (new.version, [new.version, pump.version])
    assert list(answer)[-1] in ("length", "stop")
    assert list(completing(running, 5))[-1] in ("length", "stop")


def test_a_version_that_is_still_loaded_can_be_removed(running: Live, pump: ModelSpec, tmp_path: Path) -> None:
    answer = completing(running, 400)
    next(answer)
    replace(running, tmp_path)
    Catalog(running.places.models).remove_version("pump", pump.version)
    running.client.rescan_models()
    assert not pump.path.exists()
    assert list(answer)[-1] in ("length", "stop")


def test_a_file_that_vanishes_while_loaded_is_reported_and_not_loaded_again(
    running: Live, pump: ModelSpec, tmp_path: Path
) -> None:
    running.client.model_action("pump", "load")
    pump.path.unlink()
    running.client.rescan_models()
    wait_until(lambda: "pump" not in running.client.status().models_loaded, "the model to be unloaded")
    assert "is missing" in (shown(running).reason or "")
    with pytest.raises(ApiError, match="is missing"):
        running.client.model_action("pump", "load")
    Catalog(running.places.models).import_gguf(tmp_path / "old.gguf", model_id="pump")
    running.client.rescan_models()
    assert running.client.model_action("pump", "load").state == "loaded"


def test_a_file_that_was_overwritten_while_unloaded_is_refused_by_its_content(running: Live, pump: ModelSpec) -> None:
    content = bytearray(pump.path.read_bytes())
    content[-5] ^= 1
    pump.path.write_bytes(content)
    with pytest.raises(ApiError, match="has changed"):
        running.client.model_action("pump", "load")
