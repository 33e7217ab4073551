"""The catalogue imports models whole or not at all, and reports exactly what is in the folder."""

import json
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from models.adapters import catalog as adapters_module
from models.adapters.catalog import AdapterCatalog
from models.catalog import catalog as catalog_module
from models.catalog.catalog import Catalog, ModelSpec
from models.catalog.installer import id_from_name, installer
from models.errors import (
    InvalidModelFile,
    InvalidModelId,
    ModelBusy,
    ModelExists,
    ModelLoadFailed,
    ModelStorageFull,
    UnknownModel,
)
from tests.gguf_builder import write_adapter, write_garbage, write_model


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "models")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "Pump Reader (v2).gguf")


def test_an_imported_model_is_copied_hashed_and_listed(catalog: Catalog, source: Path) -> None:
    seen: list[tuple[int, int]] = []
    spec = catalog.import_gguf(source, progress=lambda done, total: seen.append((done, total)))
    assert spec.id == "Pump-Reader-v2"
    assert spec.path.read_bytes() == source.read_bytes()
    assert (spec.source, spec.template, spec.size) == (source.name, "chatml", source.stat().st_size)
    assert seen[-1] == (spec.size, spec.size)
    assert catalog.list() == (spec,) == Catalog(catalog.root).list()
    catalog.verify(spec.id)


def test_installed_files_are_readable_by_the_folder_s_group_only(catalog: Catalog, source: Path) -> None:
    spec = catalog.import_gguf(source)
    for path in (spec.path, spec.path.parent / "manifest.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert path.stat().st_gid == catalog.root.stat().st_gid
    assert stat.S_IMODE(spec.path.parent.stat().st_mode) & 0o777 == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_imports_belongs_to_the_folder_s_owner(catalog: Catalog, source: Path) -> None:
    catalog.root.mkdir()
    os.chown(catalog.root, 12345, 23456)
    spec = catalog.import_gguf(source)
    for path in (spec.path, spec.path.parent, spec.path.parent / "manifest.json", catalog.root / ".lock"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_importing_the_same_content_again_changes_nothing_and_other_content_is_refused(
    catalog: Catalog, source: Path
) -> None:
    spec = catalog.import_gguf(source, model_id="pump")
    assert catalog.import_gguf(source, model_id="pump") == spec
    write_model(source, seed=9)
    with pytest.raises(ModelExists, match="pump"):
        catalog.import_gguf(source, model_id="pump")
    assert catalog.list() == (spec,)


@pytest.mark.parametrize("name", ["docent", "Extractive", "all-MiniLM-L6-v2", "..", ".hidden", "a/b", "a:b", "", "ü"])
def test_reserved_and_impossible_names_are_refused(catalog: Catalog, source: Path, name: str) -> None:
    if name:
        with pytest.raises(InvalidModelId, match="naming a model"):
            catalog.import_gguf(source, model_id=name)
    assert catalog.list() == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("qwen2.5-0.5b-q8_0.gguf", "qwen2.5-0.5b-q8_0"), ("A B\n.GGUF", "A-B"), ("...gguf", "model"), ("ü.gguf", "model")],
)
def test_names_are_made_from_file_names(name: str, expected: str) -> None:
    assert id_from_name(name) == expected


def test_a_refused_file_leaves_nothing(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFile):
        catalog.import_gguf(write_garbage(tmp_path / "g.gguf"))
    assert not catalog.root.exists()


def test_an_interrupted_import_leaves_nothing_half_installed(catalog: Catalog, source: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.import_gguf(source, progress=interrupt)
    assert [path.name for path in catalog.root.iterdir()] == [".lock"]


def test_leftovers_of_a_killed_import_are_removed_by_the_next(catalog: Catalog, source: Path) -> None:
    left = catalog.root / ".new-abc"
    left.mkdir(parents=True)
    (left / "model.gguf").write_bytes(b"half")
    assert catalog.list() == ()
    catalog.import_gguf(source)
    assert not left.exists()


def test_one_import_at_a_time(catalog: Catalog, source: Path) -> None:
    with installer(catalog.root, "importing another"), pytest.raises(ModelBusy, match="another import"):
        catalog.import_gguf(source)


def test_a_disk_without_room_is_refused_before_anything_is_copied(
    catalog: Catalog, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.catalog.installer.SPARE", 1 << 60)
    with pytest.raises(ModelStorageFull, match="free"):
        catalog.import_gguf(source)
    assert catalog.list() == ()


def test_a_disk_that_fills_up_during_a_copy_is_a_clear_error(catalog: Catalog, source: Path) -> None:
    def fill(done: int, total: int) -> None:
        raise OSError(28, "No space left on device", "model.gguf")

    with pytest.raises(ModelStorageFull, match="no space is left"):
        catalog.import_gguf(source, progress=fill)
    assert [path.name for path in catalog.root.iterdir()] == [".lock"]


def test_a_file_copied_in_by_hand_is_reported_with_a_hint_and_then_moved(catalog: Catalog, tmp_path: Path) -> None:
    catalog.root.mkdir()
    stray = write_model(catalog.root / "stray.gguf")
    catalog.rescan()
    assert catalog.list() == ()
    assert catalog.problems[0].hint == f"run `docent models import {stray}`"
    spec = catalog.import_gguf(stray)
    assert (spec.id, stray.exists(), catalog.problems) == ("stray", False, ())
    catalog.verify("stray")


def spoiled(catalog: Catalog, spec: ModelSpec, name: str, change: dict[str, object], drop: str = "") -> None:
    """A copy of the model under another name, with another manifest."""
    folder = catalog.root / name
    shutil.copytree(spec.path.parent, folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | change
    manifest.pop(drop, None)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_damaged_folders_are_problems_not_models(catalog: Catalog, source: Path) -> None:
    spec = catalog.import_gguf(source, model_id="a")
    spoiled(catalog, spec, "b", {}, drop="sha256")
    spoiled(catalog, spec, "c", {"size": 1})
    spoiled(catalog, spec, "d", {"source": 7})
    (catalog.root / "e").mkdir()
    (catalog.root / "f").mkdir()
    (catalog.root / "f" / "manifest.json").write_text("[" * 100_000)
    catalog.rescan()
    assert catalog.list() == (spec,)
    assert [problem.path.name for problem in catalog.problems] == ["b", "c", "d", "e", "f"]


def test_a_manifest_of_another_version_is_completed_from_the_file(catalog: Catalog, source: Path) -> None:
    spec = catalog.import_gguf(source, model_id="a")
    spoiled(catalog, spec, "b", {"header": {"layers": 1}})
    catalog.rescan()
    assert catalog.get("b").header == spec.header


def test_an_unknown_model_is_refused_with_a_list_of_the_installed_ones(catalog: Catalog, source: Path) -> None:
    catalog.import_gguf(source, model_id="pump")
    with pytest.raises(UnknownModel, match="'valve'") as caught:
        catalog.get("valve")
    assert "pump" in caught.value.hint


def test_a_removed_model_is_gone(catalog: Catalog, source: Path) -> None:
    catalog.import_gguf(source, model_id="pump")
    catalog.remove("pump")
    assert [path.name for path in catalog.root.iterdir()] == [".lock"]
    with pytest.raises(UnknownModel):
        catalog.remove("pump")


def test_a_changed_file_does_not_verify(catalog: Catalog, source: Path) -> None:
    spec = catalog.import_gguf(source)
    data = bytearray(spec.path.read_bytes())
    data[-1] ^= 1
    spec.path.write_bytes(data)
    with pytest.raises(InvalidModelFile, match="has changed"):
        catalog.verify(spec.id)


def flip(path: Path) -> None:
    """Write other content of the same size."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_importing_the_same_file_again_repairs_a_damaged_one(catalog: Catalog, source: Path) -> None:
    spec = catalog.import_gguf(source, model_id="pump")
    flip(spec.path)
    repaired = catalog.import_gguf(source, model_id="pump")
    catalog.verify("pump")
    catalog.check_unchanged(repaired)
    assert repaired.content != spec.content
    assert sorted(path.name for path in catalog.root.iterdir()) == [".lock", "pump"]


def test_importing_the_same_file_again_repairs_a_missing_one(catalog: Catalog, source: Path) -> None:
    catalog.import_gguf(source, model_id="pump").path.unlink()
    catalog.import_gguf(source, model_id="pump")
    catalog.verify("pump")


def test_a_damaged_model_is_not_overwritten_by_another(catalog: Catalog, source: Path) -> None:
    catalog.import_gguf(source, model_id="pump").path.unlink()
    write_model(source, seed=9)
    with pytest.raises(ModelExists):
        catalog.import_gguf(source, model_id="pump")


def test_a_folder_that_is_not_a_model_is_not_overwritten(catalog: Catalog, source: Path) -> None:
    (catalog.root / "pump").mkdir(parents=True)
    with pytest.raises(ModelExists, match="manifest"):
        catalog.import_gguf(source, model_id="pump")


def test_an_untouched_file_is_not_hashed_again(catalog: Catalog, source: Path) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError("hashed")

    catalog.check_unchanged(catalog.import_gguf(source), never)


def test_a_file_restored_from_a_backup_is_hashed_once(catalog: Catalog, source: Path) -> None:
    spec = catalog.import_gguf(source)
    seen: list[int] = []
    os.utime(spec.path, ns=(1, 1))
    for _ in range(2):
        catalog.check_unchanged(spec, lambda done, total: seen.append(done))
    assert seen == [spec.size]


def test_a_file_changed_since_its_import_is_refused(catalog: Catalog, source: Path) -> None:
    spec = catalog.import_gguf(source, model_id="pump")
    flip(spec.path)
    with pytest.raises(ModelLoadFailed, match="has changed since") as caught:
        catalog.check_unchanged(spec)
    assert "--id pump" in caught.value.hint
    spec.path.unlink()
    with pytest.raises(ModelLoadFailed, match="is missing"):
        catalog.check_unchanged(spec)


def test_a_model_without_its_file_is_listed_as_damaged_fails_to_verify_and_can_be_removed(
    catalog: Catalog, source: Path
) -> None:
    catalog.import_gguf(source, model_id="pump").path.unlink()
    catalog.rescan()
    (problem,) = catalog.damaged()
    assert (problem.id, problem.path, catalog.list()) == ("pump", catalog.root / "pump", ())
    assert "model.gguf is missing" in problem.why
    with pytest.raises(InvalidModelFile, match="is missing"):
        catalog.verify("pump")
    catalog.remove("pump")
    assert (catalog.damaged(), [path.name for path in catalog.root.iterdir()]) == ((), [".lock"])


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_a_file_that_is_not_regular_is_refused_without_blocking(catalog: Catalog, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "strange.gguf"
    match kind:
        case "fifo":
            os.mkfifo(source)
        case "folder":
            source.mkdir()
        case "device":
            source.symlink_to("/dev/zero")
    with pytest.raises(InvalidModelFile, match="not a regular file"):
        catalog.import_gguf(source)


def test_an_interrupted_import_of_a_file_in_the_folder_itself_leaves_it_there(catalog: Catalog) -> None:
    catalog.root.mkdir()
    stray = write_model(catalog.root / "stray.gguf")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.import_gguf(stray, progress=interrupt)
    assert stray.exists()


def test_an_id_of_another_kind_of_model_is_refused_with_what_it_is(catalog: Catalog) -> None:
    catalog.others["vectors"] = "it makes embeddings, not text"
    with pytest.raises(UnknownModel, match="makes embeddings"):
        catalog.get("vectors")


@pytest.mark.parametrize("kind", ["models", "adapters"])
def test_if_two_rescans_overlap_the_later_wins(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog: Catalog | AdapterCatalog
    if kind == "models":
        module, catalog = catalog_module, Catalog(tmp_path / "root")
        catalog.import_gguf(write_model(tmp_path / "m.gguf"), model_id="x")
    else:
        module, catalog = adapters_module, AdapterCatalog(tmp_path / "root")
        catalog.import_gguf(write_adapter(tmp_path / "m.gguf"), adapter_id="x")
    read, go_on, own = threading.Event(), threading.Event(), module.read_entry

    def slow(folder: Path) -> object:
        found = own(folder)
        if threading.current_thread() is first:
            read.set()
            go_on.wait(20)
        return found

    monkeypatch.setattr(module, "read_entry", slow)
    first, second = (threading.Thread(target=catalog.rescan) for _ in range(2))
    first.start()
    assert read.wait(20)
    shutil.rmtree(catalog.root / "x")
    second.start()
    second.join(0.2)  # it may wait for the first, but must not be overtaken by it
    go_on.set()
    first.join()
    second.join()
    assert catalog.list() == ()
