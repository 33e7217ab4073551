"""Adapters: known ones fit their base or are refused by name, before llama.cpp sees them."""

from pathlib import Path

import pytest

from models.adapters import AdapterCatalog, check_fits
from models.catalog import Catalog, ModelSpec
from models.errors import InvalidModelFile, ModelExists, UnknownAdapter
from tests.gguf_builder import Shape, write_adapter, write_garbage, write_model


@pytest.fixture
def adapters(tmp_path: Path) -> AdapterCatalog:
    return AdapterCatalog(tmp_path / "adapters")


@pytest.fixture
def base(tmp_path: Path) -> ModelSpec:
    return Catalog(tmp_path / "models").import_gguf(write_model(tmp_path / "base.gguf"))


def test_an_imported_adapter_is_listed_and_fits_its_base(
    adapters: AdapterCatalog, base: ModelSpec, tmp_path: Path
) -> None:
    spec = adapters.import_gguf(write_adapter(tmp_path / "polite.gguf", rank=4))
    assert (spec.id, spec.rank, spec.alpha, spec.architecture) == ("polite", 4, 4.0, "llama")
    assert AdapterCatalog(adapters.root).list() == (spec,)
    check_fits(spec, base)


def test_an_unknown_adapter_is_refused_by_name(adapters: AdapterCatalog) -> None:
    with pytest.raises(UnknownAdapter, match="'rude'"):
        adapters.get("rude")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"architecture": "qwen2"}, "architecture qwen2"),
        ({"shape": Shape(layers=3)}, "does not have"),
        ({"width": 32}, "as 32x32"),
    ],
)
def test_an_adapter_for_another_base_is_refused(
    adapters: AdapterCatalog, base: ModelSpec, tmp_path: Path, change: dict[str, object], why: str
) -> None:
    spec = adapters.import_gguf(write_adapter(tmp_path / "other.gguf", **change))  # type: ignore[arg-type]
    with pytest.raises(InvalidModelFile, match=why):
        check_fits(spec, base)


def test_models_and_garbage_are_no_adapters(adapters: AdapterCatalog, tmp_path: Path) -> None:
    for path in (write_model(tmp_path / "m.gguf"), write_garbage(tmp_path / "g.gguf")):
        with pytest.raises(InvalidModelFile):
            adapters.import_gguf(path)
    assert adapters.list() == ()


def test_names_are_not_taken_twice_and_removed_adapters_are_gone(adapters: AdapterCatalog, tmp_path: Path) -> None:
    source = write_adapter(tmp_path / "polite.gguf")
    adapters.import_gguf(source)
    with pytest.raises(ModelExists):
        adapters.import_gguf(source)
    adapters.remove("polite")
    assert adapters.list() == ()
