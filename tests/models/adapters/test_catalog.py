"""Adapters fit their base or are refused by name, before llama.cpp gets them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models.adapters.catalog import AdapterBase, AdapterCatalog, AdapterNotes, AdapterSpec, check_fits
from models.catalog.catalog import Catalog, ModelSpec
from models.catalog.installer import Installer
from models.errors import InvalidModelFile, ModelExists, ModelInUse, UnknownAdapter
from tests.gguf_builder import Shape, write_adapter, write_garbage, write_model
from tests.peft_builder import write_peft


@pytest.fixture
def adapters(tmp_path: Path) -> AdapterCatalog:
    return AdapterCatalog(tmp_path / "adapters")


@pytest.fixture
def base(tmp_path: Path) -> ModelSpec:
    return Catalog(tmp_path / "models").import_gguf(write_model(tmp_path / "base.gguf"))


@pytest.fixture
def bring(adapters: AdapterCatalog, base: ModelSpec) -> Callable[..., AdapterSpec]:
    """Import an adapter for the one installed model."""
    return lambda source, **options: adapters.import_adapter(source, **{"bases": [base], **options})


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
    source = write_adapter(tmp_path / "other.gguf", **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidModelFile, match=why):
        check_fits(adapters.import_gguf(source), base)
    with pytest.raises(InvalidModelFile, match=f"base: .*{why}"):
        adapters.import_adapter(source, bases=[], base=base, adapter_id="again")
    assert [spec.id for spec in adapters.list()] == ["other"]


def test_models_and_garbage_are_refused_as_adapters(adapters: AdapterCatalog, tmp_path: Path) -> None:
    for path in (write_model(tmp_path / "m.gguf"), write_garbage(tmp_path / "g.gguf"), tmp_path):
        with pytest.raises(InvalidModelFile):
            adapters.import_gguf(path)
    assert adapters.list() == ()


@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_an_adapter_with_values_that_are_not_finite_is_refused(
    adapters: AdapterCatalog, tmp_path: Path, strength: float
) -> None:
    with pytest.raises(InvalidModelFile, match="not finite numbers"):
        adapters.import_gguf(write_adapter(tmp_path / "nan.gguf", strength=strength))
    assert [path.name for path in adapters.root.iterdir()] == [".lock"]


def test_a_rank_above_the_limit_is_refused(adapters: AdapterCatalog, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFile, match=r"rank for .* is 4097"):
        adapters.import_gguf(write_adapter(tmp_path / "wide.gguf", rank=4097))


@pytest.mark.parametrize("place", [0, 1], ids=["in", "out"])
def test_an_empty_factor_is_refused(adapters: AdapterCatalog, tmp_path: Path, place: int) -> None:
    path = write_adapter(tmp_path / "empty.gguf")
    name = b"blk.0.attn_q.weight.lora_b"
    data = bytearray(path.read_bytes())
    at = data.index(name) + len(name) + 4 + 8 * place
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(InvalidModelFile, match=r"lora_b' has the shape"):
        adapters.import_gguf(path)


# -- the base ---------------------------------------------------------------------------------------------------------


def test_the_base_that_fits_is_recorded_with_the_notes(
    bring: Callable[..., AdapterSpec], base: ModelSpec, tmp_path: Path
) -> None:
    notes = AdapterNotes("cc-by-4.0", "of the contracts of 2037")
    spec = bring(write_adapter(tmp_path / "polite.gguf"), notes=notes)
    assert spec.base == AdapterBase("base", base.sha256, "tiny")
    assert (spec.licence, spec.notes) == ("cc-by-4.0", "of the contracts of 2037")


def test_if_several_models_fit_the_base_must_be_named(
    adapters: AdapterCatalog, base: ModelSpec, tmp_path: Path
) -> None:
    other = Catalog(tmp_path / "models").import_gguf(write_model(tmp_path / "twin.gguf", seed=9))
    source = write_adapter(tmp_path / "polite.gguf")
    with pytest.raises(InvalidModelFile, match="several models: base, twin") as caught:
        adapters.import_adapter(source, bases=[base, other])
    assert "--base" in caught.value.hint
    assert adapters.import_adapter(source, bases=[base, other], base=other).base.id == "twin"


def test_a_gguf_adapter_may_be_imported_before_its_model_but_a_peft_folder_may_not(
    adapters: AdapterCatalog, base: ModelSpec, tmp_path: Path
) -> None:
    foreign = write_adapter(tmp_path / "foreign.gguf", architecture="qwen2")
    assert adapters.import_adapter(foreign, bases=[base]).base == AdapterBase()
    with pytest.raises(InvalidModelFile, match="no model is installed"):
        adapters.import_adapter(write_peft(tmp_path / "peft"), bases=[])


def test_an_adapter_that_fits_no_model_says_why_for_each_of_its_architecture(
    bring: Callable[..., AdapterSpec], tmp_path: Path
) -> None:
    with pytest.raises(InvalidModelFile, match=r"base: it changes blk\.2"):
        bring(write_adapter(tmp_path / "tall.gguf", shape=Shape(layers=3)))


# -- versions ---------------------------------------------------------------------------------------------------------


def test_a_taken_name_needs_replace_and_keeps_the_older_file(
    adapters: AdapterCatalog, bring: Callable[..., AdapterSpec], tmp_path: Path
) -> None:
    first = bring(write_adapter(tmp_path / "polite.gguf"))
    second_source = write_adapter(tmp_path / "new.gguf", seed=2)
    with pytest.raises(ModelExists) as caught:
        bring(second_source, adapter_id="polite")
    assert "--replace" in caught.value.hint
    second = bring(second_source, adapter_id="polite", replace=True)
    assert second.sha256 != first.sha256
    assert second.versions == (second.version, first.version)
    assert first.path.is_file()
    assert second.path.is_file()
    assert AdapterCatalog(adapters.root).get("polite") == second


def test_replacing_by_older_content_switches_back_to_it(bring: Callable[..., AdapterSpec], tmp_path: Path) -> None:
    old, new = write_adapter(tmp_path / "polite.gguf"), write_adapter(tmp_path / "new.gguf", seed=2)
    first = bring(old, notes=AdapterNotes(notes="the first"))
    bring(new, adapter_id="polite", replace=True)
    back = bring(old, replace=True)
    assert (back.sha256, back.notes, len(back.versions)) == (first.sha256, "the first", 2)


def test_importing_the_same_content_again_repairs_it_and_keeps_the_notes(
    adapters: AdapterCatalog, bring: Callable[..., AdapterSpec], tmp_path: Path
) -> None:
    source = write_adapter(tmp_path / "polite.gguf")
    spec = bring(source, notes=AdapterNotes("mit", "ours"))
    spec.path.write_bytes(b"no")
    adapters.rescan()
    assert adapters.list() == ()
    repaired = bring(source)
    assert (repaired.sha256, repaired.licence, repaired.notes) == (spec.sha256, "mit", "ours")
    adapters.check_unchanged(repaired)


@pytest.mark.parametrize("step", ["switch", "describe_version", "_copy_manifest"])
def test_a_crash_while_a_version_is_added_leaves_the_older_one(
    bring: Callable[..., AdapterSpec],
    adapters: AdapterCatalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    first = bring(write_adapter(tmp_path / "polite.gguf"))
    source = write_adapter(tmp_path / "new.gguf", seed=2)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Installer, step, crash)
        with pytest.raises(KeyboardInterrupt):
            bring(source, adapter_id="polite", replace=True)
    kept = AdapterCatalog(adapters.root).get("polite")
    assert kept.sha256 == first.sha256
    adapters.check_unchanged(kept)
    again = bring(source, adapter_id="polite", replace=True)
    assert again.sha256 != first.sha256


def test_an_older_version_can_be_removed_alone_and_the_current_one_only_with_all(
    adapters: AdapterCatalog, bring: Callable[..., AdapterSpec], tmp_path: Path
) -> None:
    first = bring(write_adapter(tmp_path / "polite.gguf"))
    second = bring(write_adapter(tmp_path / "new.gguf", seed=2), adapter_id="polite", replace=True)
    with pytest.raises(ModelInUse):
        adapters.remove_version("polite", second.version)
    with pytest.raises(UnknownAdapter, match="no such version"):
        adapters.remove_version("polite", "ffffffffffffffff")
    assert adapters.remove_version("polite", first.version[:6]).path == first.path
    assert not first.path.exists()
    assert adapters.get("polite").versions == (second.version,)
    adapters.remove("polite")
    assert adapters.list() == ()


# -- damage -----------------------------------------------------------------------------------------------------------


def test_a_file_changed_or_missing_since_its_import_is_refused_at_use(
    adapters: AdapterCatalog, bring: Callable[..., AdapterSpec], tmp_path: Path
) -> None:
    spec = bring(write_adapter(tmp_path / "polite.gguf"))
    other = write_adapter(tmp_path / "other.gguf", seed=8).read_bytes()
    assert len(other) == spec.size
    spec.path.write_bytes(other)
    with pytest.raises(InvalidModelFile, match="has changed since it was imported"):
        adapters.check_unchanged(spec)
    spec.path.unlink()
    with pytest.raises(InvalidModelFile, match="is missing") as caught:
        adapters.check_unchanged(spec)
    assert "docent adapters import" in caught.value.hint
    adapters.rescan()
    with pytest.raises(InvalidModelFile, match="is missing"):
        adapters.get("polite")
    assert [one.id for one in adapters.damaged()] == ["polite"]
    adapters.remove("polite")
    assert adapters.damaged() == ()


def test_a_file_that_was_only_restored_passes(
    adapters: AdapterCatalog, bring: Callable[..., AdapterSpec], tmp_path: Path
) -> None:
    spec = bring(write_adapter(tmp_path / "polite.gguf"))
    os.utime(spec.path, (1, 1))
    adapters.check_unchanged(spec)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../secret"},
        {"sha256": "no"},
        {"rank": "four"},
        {"alpha": None},
        {"size": "big"},
        {"base": {"id": 4}},
        {"licence": []},
    ],
)
def test_an_invalid_manifest_makes_the_adapter_damaged(
    adapters: AdapterCatalog, bring: Callable[..., AdapterSpec], tmp_path: Path, change: dict[str, object]
) -> None:
    bring(write_adapter(tmp_path / "polite.gguf"))
    manifest = adapters.root / "polite" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    adapters.rescan()
    with pytest.raises(InvalidModelFile, match="manifest is not valid"):
        adapters.get("polite")


def test_the_manifest_of_an_earlier_docent_is_still_read(adapters: AdapterCatalog, tmp_path: Path) -> None:
    spec = adapters.import_gguf(write_adapter(tmp_path / "polite.gguf"))
    manifest = adapters.root / "polite" / "manifest.json"
    known = ("version", "id", "file", "size", "sha256", "architecture", "rank", "alpha", "imported_at", "source")
    manifest.write_text(json.dumps({key: json.loads(manifest.read_text())[key] for key in known}))
    adapters.rescan()
    old = adapters.get("polite")
    assert (old.sha256, old.base, old.licence) == (spec.sha256, AdapterBase(), "")
    adapters.check_unchanged(old)
