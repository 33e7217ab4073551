"""Several contents under one id: a switch is one step, the old version stays, and a crash leaves one of the two."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.catalog.catalog import Catalog, ModelSpec, Origin
from models.catalog.installer import sha256_of
from models.catalog.manifest import Problem
from models.errors import InvalidModelFile, ModelExists, ModelInUse, ModelLoadFailed, ModelStorageFull, UnknownModel
from tests.gguf_builder import Shape, write_model

SMALL = Shape(layers=1, width=32, feed_forward=32)


def model(path: Path, seed: int) -> Path:
    return write_model(path, seed=seed, shape=SMALL)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "models")


@pytest.fixture
def old(catalog: Catalog, tmp_path: Path) -> ModelSpec:
    return catalog.import_gguf(model(tmp_path / "old.gguf", 1), model_id="pump")


@pytest.fixture
def new(catalog: Catalog, old: ModelSpec, tmp_path: Path) -> ModelSpec:
    return catalog.import_gguf(model(tmp_path / "new.gguf", 2), model_id="pump", replace=True)


def test_a_replacement_becomes_current_and_the_old_version_is_kept_untouched(
    catalog: Catalog, old: ModelSpec, new: ModelSpec
) -> None:
    assert catalog.get("pump") == new
    assert new.content != old.content
    assert new.path.name == f"{new.version}.gguf"
    assert sha256_of(old.path) == old.sha256
    assert [(one.version, one.current, one.quantisation) for one in new.versions] == [
        (new.version, True, "F32"),
        (old.version, False, "F32"),
    ]


def test_switching_back_gives_the_same_content_as_before(catalog: Catalog, old: ModelSpec, new: ModelSpec) -> None:
    back = catalog.use_version("pump", old.version)
    assert (back.content, back.path) == (old.content, old.path)
    assert catalog.use_version("pump", new.sha256).content == new.content
    catalog.check_unchanged(back, lambda done, total: pytest.fail("hashed"))


def test_without_replace_other_content_is_refused_even_if_it_is_a_version(
    catalog: Catalog, old: ModelSpec, new: ModelSpec, tmp_path: Path
) -> None:
    with pytest.raises(ModelExists) as caught:
        catalog.import_gguf(tmp_path / "old.gguf", model_id="pump")
    assert "--replace" in caught.value.hint


def test_importing_an_existing_version_switches_to_it_without_a_copy(
    catalog: Catalog, old: ModelSpec, new: ModelSpec, tmp_path: Path
) -> None:
    inode = old.path.stat().st_ino
    assert catalog.import_gguf(tmp_path / "old.gguf", model_id="pump", replace=True).content == old.content
    assert old.path.stat().st_ino == inode
    assert len(list(old.path.parent.glob("*.gguf"))) == 2


def test_a_damaged_version_cannot_become_current_and_its_file_repairs_it(
    catalog: Catalog, old: ModelSpec, new: ModelSpec, tmp_path: Path
) -> None:
    old.path.write_bytes(b"spoiled")
    with pytest.raises(InvalidModelFile, match="changed"):
        catalog.use_version("pump", old.version)
    assert catalog.get("pump").sha256 == new.sha256
    repaired = catalog.import_gguf(tmp_path / "old.gguf", model_id="pump", replace=True)
    catalog.verify("pump")
    assert (repaired.sha256, repaired.path) == (old.sha256, old.path)


def test_a_model_whose_current_file_is_missing_can_switch_back(
    catalog: Catalog, old: ModelSpec, new: ModelSpec
) -> None:
    new.path.unlink()
    catalog.rescan()
    assert isinstance(catalog.entry("pump"), Problem)
    assert catalog.use_version("pump", old.version).content == old.content


def test_a_model_whose_manifest_is_broken_can_switch_back(catalog: Catalog, old: ModelSpec, new: ModelSpec) -> None:
    (new.path.parent / "manifest.json").write_text("{")
    catalog.rescan()
    assert catalog.use_version("pump", old.version).content == old.content
    assert new.path.exists()


def test_the_current_version_cannot_be_removed_and_another_can(
    catalog: Catalog, old: ModelSpec, new: ModelSpec
) -> None:
    with pytest.raises(ModelInUse):
        catalog.remove_version("pump", new.version)
    assert catalog.remove_version("pump", old.version).sha256 == old.sha256
    assert not old.path.exists()
    assert [one.version for one in catalog.get("pump").versions] == [new.version]
    catalog.verify("pump")


@pytest.mark.parametrize("version", ["", "ffffffffffff", "../x", "manifest"])
def test_unknown_versions_are_refused_with_a_list_of_the_versions(
    catalog: Catalog, old: ModelSpec, version: str
) -> None:
    with pytest.raises(UnknownModel) as caught:
        catalog.use_version("pump", version)
    assert old.version in caught.value.hint


def test_a_prefix_that_several_versions_share_is_refused(catalog: Catalog, old: ModelSpec, tmp_path: Path) -> None:
    seed = 2
    while True:  # the seventeenth content at the latest shares its first digit with another
        catalog.import_gguf(model(tmp_path / "n.gguf", seed), model_id="pump", replace=True)
        digits = [one.version[0] for one in catalog.versions("pump")]
        shared = [digit for digit in digits if digits.count(digit) > 1]
        if shared:
            break
        seed += 1
    with pytest.raises(UnknownModel, match="several"):
        catalog.use_version("pump", shared[0])


def test_removing_the_model_removes_all_its_versions(catalog: Catalog, new: ModelSpec) -> None:
    catalog.remove("pump")
    assert [path.name for path in catalog.root.iterdir()] == [".lock"]


def test_a_manifest_that_names_a_file_elsewhere_is_a_problem(catalog: Catalog, old: ModelSpec) -> None:
    path = old.path.parent / "manifest.json"
    for name in ("../../secret.gguf", "/etc/passwd", "x.gguf"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"file": name}))
        catalog.rescan()
        assert (catalog.list(), "not the name" in catalog.damaged()[0].why) == ((), True)


def test_the_layout_before_versions_is_still_read(catalog: Catalog, old: ModelSpec) -> None:
    path = old.path.parent / "manifest.json"
    before = json.loads(path.read_text())
    for key in ("revision", "licence", "file"):
        del before[key]
    path.write_text(json.dumps(before))
    catalog.rescan()
    assert catalog.get("pump").content == old.content


def test_a_licence_and_commit_are_kept_with_their_version(catalog: Catalog, old: ModelSpec, tmp_path: Path) -> None:
    source = model(tmp_path / "part", 7)
    origin = Origin("a/b:c.gguf", "d" * 40, "llama3.1")
    spec = catalog.adopt(source, "pump", sha256_of(source), origin, replace=True)
    assert (spec.licence, spec.card_licence, spec.revision) == ("llama3.1", "llama3.1", "d" * 40)
    assert catalog.use_version("pump", old.version).card_licence == ""
    assert catalog.use_version("pump", spec.version).revision == "d" * 40


def test_a_file_replaced_without_docent_is_never_loaded(catalog: Catalog, old: ModelSpec, tmp_path: Path) -> None:
    shutil.copy(model(tmp_path / "other.gguf", 9), old.path)
    with pytest.raises(ModelLoadFailed, match="has changed"):
        catalog.check_unchanged(catalog.get("pump"))


def test_a_disk_that_fills_up_at_the_last_step_leaves_the_downloaded_file(
    catalog: Catalog, old: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "manifest.json")

    source = model(tmp_path / "part", 7)
    monkeypatch.setattr("models.catalog.installer.Installer._write_manifest", full)
    with pytest.raises(ModelStorageFull):
        catalog.adopt(source, "new", sha256_of(source), Origin("a/b:c.gguf"), replace=True)
    (old.path.parent / f"{old.version}.json").write_bytes((old.path.parent / "manifest.json").read_bytes())
    with pytest.raises(ModelStorageFull):
        catalog.adopt(source, "pump", sha256_of(source), Origin("a/b:c.gguf"), replace=True)
    assert source.exists()
    assert Catalog(catalog.root).get("pump").content == old.content


@pytest.mark.parametrize("what", ["replace", "adopt", "use", "drop", "repair"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_version_and_the_next_run_succeeds(
    what: str, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    catalog = Catalog(start / "models")
    old, new = model(tmp_path / "o.gguf", 1), model(tmp_path / "n.gguf", 2)
    catalog.import_gguf(old, model_id="pump")
    if what in ("use", "drop"):
        catalog.import_gguf(new, model_id="pump", replace=True)
    shutil.copy(old, start / "old.gguf")
    shutil.copy(new, start / "new.gguf")
    command = [sys.executable, "-m", "tests.models.catalog.version_kills", what, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    contents = {sha256_of(old), sha256_of(new)}
    assert len(lines) > (3 if what == "drop" else 8)
    for line in lines:
        assert line["after"] in contents or what == "repair", line
        assert line["whole"] or what == "repair", line
    assert lines[-1]["event"] == ""
    for line in lines:
        again = Catalog(tmp_path / f"step{line['step']}" / "models")
        again.import_gguf(new, model_id="pump", replace=True)
        again.verify("pump")
        names = {path.name for path in again.root.iterdir()}
        kept = {one.path.name for one in again.versions("pump")}
        assert (names, {path.name for path in (again.root / "pump").glob("*.gguf")}) == ({".lock", "pump"}, kept)
