"""The one-way imports of the house, checked on the source itself. docs/architecture.md draws the same floors."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import Floors, House, imported

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("appliance", "ingest", "models", "tui")

ALLOWED = {
    "models": {"models"},
    "ingest": {"ingest"},
    "appliance": {"appliance", "ingest", "models"},
    "tui": {"tui", "appliance"},
}
FLOORS: Floors = {
    "ingest": (
        {"types", "errors", "malloc"},
        {"sandbox", "watching", "layout"},
        {"protocol", "tables", "metadata"},
        {"ocr", "chunking"},
        {"parsing"},
        {"pipeline"},
        {"reader"},
    ),
    "appliance": (
        {"errors", "wire"},
        {"display", "config"},
        {"client", "store"},
        {"retrieval", "library", "embedding", "monitoring"},
        {"answering", "runtime"},
        {"api"},
        {"service"},
        {"cli"},
        {"__main__"},
    ),
    "appliance/api": (
        {"views", "streaming", "upload", "blocking", "similar_names"},
        {"errors", "model_desk"},
        {"context", "peer", "middleware"},
        {"routes", "server"},
        {"openai"},
        {"app"},
    ),
    "appliance/cli": (
        {"shared", "benchmarking", "temporary_service"},
        {"model_files", "reading_progress", "page_picture", "doctor_checks"},
        {"commands"},
        {"app"},
    ),
    "appliance/store": (
        {"ids", "rows", "database"},
        {"indexes"},
        {"tables"},
        {"snapshot", "revision_sink", "vector_rebuild"},
        {"document_queue"},
        {"store"},
    ),
    "models": (
        {"errors", "types", "text_stream", "humanize"},
        {"formats", "hardware"},
        {"catalog", "child_process", "embedding"},
        {"acquisition", "adapters", "memory", "worker"},
        {"residency"},
        {"providers"},
    ),
    "models/worker": (
        {"grammar", "limits", "llama_log"},
        {"engine", "grammar_cache"},
        {"prompting", "scheduling"},
        {"main"},
        {"dry_run"},
    ),
    "tui": (
        {"messages"},
        {"widgets", "state", "feed"},
        {"screens"},
        {"app"},
        {"__main__"},
    ),
}
"""Of a folder, its files and folders from the lowest floor up. A new name is a decision: where does it stand?"""

OFF_THE_FLOORS = {"models/builtin/make.py": "builds the embedding model that is delivered; run by hand, with torch"}
"""Files that are no part of the program, and why."""

MOST_NAMES = 20
"""What `ls` may show of one folder."""

ONE_IMPORTER = {
    "pymupdf": {"ingest/parsing/pdf.py"},
    "llama_cpp": {"models/worker/engine", "models/worker/dry_run.py"},
    "onnxruntime": {"models/embedding/embedder.py"},
    "textual": {"tui"},
    "huggingface_hub": {"models/acquisition/hub.py"},
    "watchdog": {"ingest/watching/watcher.py"},
}
VALUES = (
    "ingest.errors", "ingest.types", "models.errors", "models.types",
    # seven interfaces
    "ingest.malloc", "ingest.chunking.sentences.sentence_lengths", "ingest.watching.ignored_names", "ingest.watching.watcher.Changes",
    "models.residency.options", "models.humanize", "models.providers.interface", "models.catalog.catalog.ModelSpec", "models.catalog.catalog.Problem",
)  # fmt: skip
"""What the appliance may use everywhere: errors, values, interfaces; concrete classes only where they are made."""

COMPOSITION = {
    "appliance/service.py",
    # the commands that work without the service
    "appliance/cli/commands/models.py", "appliance/cli/commands/adapters.py", "appliance/cli/commands/serve.py",
    "appliance/cli/model_files/embedding_model.py", "appliance/cli/model_files/model_folder.py",
    "appliance/cli/model_files/import_command.py", "appliance/cli/model_files/pull_command.py",
    "appliance/cli/doctor_checks.py",
}  # fmt: skip


HOUSE = House(ROOT, PACKAGES, OFF_THE_FLOORS)


@pytest.mark.parametrize("path", HOUSE.files)
def test_a_package_imports_only_what_the_house_allows(path: str) -> None:
    package = path.split("/")[0]
    ours = HOUSE.ours(path)
    assert {name.split(".")[0] for name in ours} <= ALLOWED[package]
    if package == "tui":
        outside = {name for name in ours if not name.startswith("tui")}
        doors = ("appliance.client", "appliance.display", "appliance.wire")
        assert all(name.startswith(doors) or name == "appliance" for name in outside)


@pytest.mark.parametrize("folder", FLOORS)
def test_every_file_and_folder_stands_on_one_floor(folder: str) -> None:
    assert HOUSE.misplaced(folder, FLOORS) == []


@pytest.mark.parametrize("folder", FLOORS)
def test_imports_between_rooms_go_to_a_lower_floor(folder: str) -> None:
    assert HOUSE.upward(folder, FLOORS) == []


@pytest.mark.parametrize("folder", HOUSE.folders)
def test_no_folder_shows_more_names_than_one_can_take_in(folder: str) -> None:
    assert HOUSE.crowded(folder, MOST_NAMES) == []


@pytest.mark.parametrize("folder", HOUSE.folders)
def test_a_folder_that_holds_code_says_what_it_is_for(folder: str) -> None:
    init = ROOT / folder / "__init__.py"
    assert init.exists(), "without it the folder is missing from the wheel"
    assert ast.get_docstring(HOUSE.files[f"{folder}/__init__.py"])


def test_an_init_hands_on_names_of_its_own_room_only() -> None:
    assert HOUSE.reexported() == []


def test_nothing_imports_the_worker_which_is_a_program_of_its_own() -> None:
    outside = {path: HOUSE.ours(path) for path in HOUSE.files if not path.startswith("models/worker/")}
    assert [(path, name) for path, names in outside.items() for name in names if name.startswith("models.worker")] == []


@pytest.mark.parametrize("folder", FLOORS)
def test_the_architecture_page_draws_these_floors(folder: str) -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.partition(f"### {folder}/\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", table, re.MULTILINE)
    drawn = {int(floor): set(re.findall(r"`(\w+)`", names)) for floor, names in rows}
    assert drawn == dict(enumerate(FLOORS[folder]))


@pytest.fixture
def small_house(tmp_path: Path) -> House:
    """Two rooms; the upper one may import the lower."""
    for name, code in {"cellar/coal.py": "", "attic/box.py": "from house.cellar import coal\n"}.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True)
        path.write_text(code)
        (path.parent / "__init__.py").write_text("")
    (tmp_path / "house" / "__init__.py").write_text("")
    return House(tmp_path, ("house",))


SMALL: Floors = {"house": ({"cellar"}, {"attic"})}


def test_a_sound_house_has_no_offences(small_house: House) -> None:
    assert small_house.misplaced("house", SMALL) + small_house.upward("house", SMALL) + small_house.reexported() == []


def test_an_upward_import_is_an_offence(small_house: House) -> None:
    (small_house.root / "house/cellar/coal.py").write_text("from house.attic.box import lid\n")
    assert small_house.upward("house", SMALL) == [
        "house/cellar/coal.py imports house.attic.box.lid, which is not on a lower floor"
    ]


def test_an_unnamed_file_is_an_offence(small_house: House) -> None:
    (small_house.root / "house/shed.py").touch()
    assert small_house.misplaced("house", SMALL) == ["house/shed stands on no floor"]


def test_one_name_too_many_is_an_offence(small_house: House) -> None:
    for number in range(MOST_NAMES):  # beside the __init__
        (small_house.root / f"house/attic/{number}.py").touch()
    assert small_house.crowded("house/attic", MOST_NAMES) == [f"house/attic shows {MOST_NAMES + 2} names"]


def test_an_init_that_hands_on_foreign_names_is_an_offence(small_house: House) -> None:
    (small_house.root / "house/cellar/__init__.py").write_text("from house.attic import box\n")
    assert small_house.reexported() == ["house/cellar/__init__.py imports house.attic.box"]


@pytest.mark.parametrize("library", ONE_IMPORTER)
def test_each_heavy_library_has_one_importer(library: str) -> None:
    users = {
        path for path, tree in HOUSE.files.items() if any(name.split(".")[0] == library for name in imported(tree))
    }
    allowed = ONE_IMPORTER[library]
    assert all(path in allowed or any(path.startswith(f"{folder}/") for folder in allowed) for path in users), users


def test_concrete_classes_of_models_and_ingest_are_made_in_the_composition_root_alone() -> None:
    offenders = {
        (path, name)
        for path in HOUSE.files
        if path.startswith("appliance/") and path not in COMPOSITION
        for name in HOUSE.ours(path)
        if name.split(".")[0] in ("models", "ingest")
        and not any(name == value or name.startswith(value + ".") for value in VALUES)
    }  # fmt: skip
    assert not offenders


def test_wire_imports_nothing_of_ours_but_itself() -> None:
    paths = [path for path in HOUSE.files if path.startswith("appliance/wire/")]
    assert paths
    assert all(name.startswith("appliance.wire.") for path in paths for name in HOUSE.ours(path))


@pytest.mark.parametrize("code", ["import appliance.client", "import appliance.cli.app"])
def test_the_client_side_loads_no_heavy_library(code: str) -> None:
    heavy = "('torch', 'onnxruntime', 'llama_cpp', 'pymupdf', 'textual', 'fastapi', 'numpy', 'apsw')"
    program = f"{code}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
