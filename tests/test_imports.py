"""The one-way imports of the house, checked on the source itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("appliance", "ingest", "models", "tui")

ALLOWED = {
    "models": {"models"},
    "ingest": {"ingest"},
    "appliance": {"appliance", "ingest", "models"},
    "tui": {"tui", "appliance"},
}
FLOORS: dict[str, tuple[set[str], ...]] = {
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
        {"errors", "types", "text_stream"},
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
}
"""Of a folder, its files and folders from the lowest floor up. A new name is a decision: where does it stand?"""

OFF_THE_FLOORS = {"models/builtin/make.py": "builds the embedding model that is delivered; run by hand, with torch"}
"""Files that are not part of the program, and why."""

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
VALUES = {
    "ingest.watching.ignored_names",
    "ingest.chunking.sentences.sentence_lengths",
    "ingest.errors", "ingest.malloc", "ingest.types", "ingest.watching.watcher.Changes", "models.errors", "models.residency.options", "models.types", "models.providers.interface", "models.embedding.manifest", "models.catalog",
}  # fmt: skip
"""What the appliance may use everywhere: errors, values and protocols; concrete classes only where they are made."""

COMPOSITION = {
    "appliance/service.py",
    # the commands that work without the service
    "appliance/cli/commands/models.py", "appliance/cli/commands/adapters.py", "appliance/cli/commands/serve.py",
    "appliance/cli/model_files/embedding_model.py", "appliance/cli/model_files/model_folder.py",
    "appliance/cli/model_files/import_command.py", "appliance/cli/model_files/pull_command.py",
    "appliance/cli/doctor_checks.py",
}  # fmt: skip


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that a file imports anywhere in it, except for type checking only."""
    skipped = {id(child) for node in ast.walk(tree) if _is_typing_block(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


FILES = dict(sources())


@pytest.mark.parametrize("path", FILES)
def test_a_package_imports_only_what_the_house_allows(path: str) -> None:
    package = path.split("/")[0]
    ours = {name for name in imported(FILES[path]) if name.split(".")[0] in PACKAGES}
    assert {name.split(".")[0] for name in ours} <= ALLOWED[package]
    if package == "tui":
        outside = {name for name in ours if not name.startswith("tui")}
        assert all(
            name.startswith(("appliance.client", "appliance.display", "appliance.wire")) or name == "appliance"
            for name in outside
        )


def rooms_of(folder: str) -> set[str]:
    """The files and folders of a folder that hold code, files without their ending."""
    found = {path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"}
    return found | {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}


def floor_of(folder: str, name: str) -> int:
    return next(number for number, names in enumerate(FLOORS[folder]) if name in names)


@pytest.mark.parametrize("folder", FLOORS)
def test_every_file_and_folder_stands_on_one_floor(folder: str) -> None:
    named = [name for names in FLOORS[folder] for name in names]
    assert sorted(named) == sorted(rooms_of(folder))


@pytest.mark.parametrize("folder", FLOORS)
def test_imports_between_rooms_go_to_a_lower_floor(folder: str) -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in FILES.items()
        if path.startswith(f"{folder}/") and path not in OFF_THE_FLOORS
        for name in imported(tree)
        if name.startswith(folder.replace("/", ".") + ".") and not is_downward(folder, path, name)
    ]
    assert not wrong


def is_downward(folder: str, path: str, name: str) -> bool:
    """Whether an import within a folder stays in its room or goes down; what names no room is checked elsewhere."""
    here = path.removeprefix(f"{folder}/").split("/")[0].removesuffix(".py")
    there = name.removeprefix(folder.replace("/", ".") + ".").split(".")[0]
    if here in ("__init__", there) or there not in rooms_of(folder):
        return True
    return floor_of(folder, there) < floor_of(folder, here)


def folders() -> list[str]:
    """Every folder that holds code of the program."""
    return sorted({path.rpartition("/")[0] for path in FILES if path not in OFF_THE_FLOORS})


@pytest.mark.parametrize("folder", folders())
def test_no_folder_shows_more_names_than_one_can_take_in(folder: str) -> None:
    shown = [path.name for path in (ROOT / folder).iterdir() if path.name != "__pycache__"]
    assert len(shown) <= MOST_NAMES


def test_an_init_is_a_docstring_or_hands_on_names_of_its_own_room() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in FILES.items()
        if path.endswith("/__init__.py")
        for name in imported(tree)
        if name.split(".")[0] in PACKAGES and not name.startswith(path.removesuffix("__init__.py").replace("/", "."))
    ]
    assert not wrong


@pytest.mark.parametrize("folder", folders())
def test_a_folder_that_holds_code_is_a_package(folder: str) -> None:
    assert (ROOT / folder / "__init__.py").exists(), "without it the folder is missing from the wheel"


@pytest.mark.parametrize("library", ONE_IMPORTER)
def test_each_heavy_library_has_one_importer(library: str) -> None:
    users = {path for path, tree in FILES.items() if any(name.split(".")[0] == library for name in imported(tree))}
    allowed = ONE_IMPORTER[library]
    assert all(path in allowed or any(path.startswith(f"{folder}/") for folder in allowed) for path in users), users


def test_concrete_classes_of_models_and_ingest_are_made_in_the_composition_root_alone() -> None:
    offenders = {
        (path, name)
        for path, tree in FILES.items()
        if path.startswith("appliance/") and path not in COMPOSITION
        for name in imported(tree)
        if name.split(".")[0] in ("models", "ingest")
        and not any(name == value or name.startswith(value + ".") for value in VALUES)
    }  # fmt: skip
    assert not offenders


def test_wire_imports_nothing_of_ours_but_itself() -> None:
    trees = [tree for path, tree in FILES.items() if path.startswith("appliance/wire/")]
    assert trees
    ours = {name for tree in trees for name in imported(tree) if name.split(".")[0] in PACKAGES}
    assert all(name.startswith("appliance.wire.") for name in ours)


def test_openais_shapes_import_nothing_of_ours_but_wire() -> None:
    ours = {name for name in imported(FILES["appliance/wire/openai.py"]) if name.split(".")[0] in PACKAGES}
    assert all(name.startswith("appliance.wire.") for name in ours)


@pytest.mark.parametrize("code", ["import appliance.client", "import appliance.cli.app"])
def test_the_client_side_loads_no_heavy_library(code: str) -> None:
    heavy = "('torch', 'onnxruntime', 'llama_cpp', 'pymupdf', 'textual', 'fastapi', 'numpy', 'apsw')"
    program = f"{code}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
