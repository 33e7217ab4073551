"""`docent models import, verify, remove`: work on the folder of models without a service."""

import shutil
from pathlib import Path

import pytest

from models.embedding.embedder import BUILTIN
from tests.appliance.cli.conftest import Run
from tests.gguf_builder import write_model

EMBEDDING = "all-MiniLM-L6-v2"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "pump.gguf")


def test_an_import_again_repairs_a_model_whose_file_is_gone(run: Run, home: Path, source: Path) -> None:
    assert run("models", "import", str(source)).code == 0
    (home / "models" / "pump" / "model.gguf").unlink()
    broken = run("models", "verify", "pump")
    assert (broken.code, "is missing" in broken.err) == (1, True)
    assert run("models", "import", str(source)).code == 0
    assert run("models", "verify", "pump", "--json").json["ok"] is True


def test_a_damaged_model_is_removed(run: Run, home: Path, source: Path) -> None:
    run("models", "import", str(source))
    (home / "models" / "pump" / "manifest.json").write_text("{")
    assert run("models", "remove", "pump", "--json").json["state"] == "failed"
    assert not (home / "models" / "pump").exists()
    assert run("models", "remove", "pump").code == 4


@pytest.mark.parametrize("name", ["bad id", "docent", EMBEDDING])
def test_a_name_that_no_model_may_have_is_a_misuse(run: Run, source: Path, name: str) -> None:
    result = run("models", "import", str(source), "--id", name)
    assert (result.code, repr(name) in result.err) == (2, True)


def test_the_embedding_model_is_verified_and_never_removed(run: Run) -> None:
    verified = run("models", "verify", EMBEDDING, "--json")
    assert (verified.json["id"], verified.json["ok"]) == (EMBEDDING, True)
    removed = run("models", "remove", EMBEDDING)
    assert (removed.code, "search needs one" in removed.err) == (5, True)


def test_a_damaged_embedding_model_does_not_verify(run: Run, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(BUILTIN, folder)
    with (folder / "tokenizer.json").open("ab") as file:
        file.write(b" ")
    (home / "docent.toml").write_text(f'[embedding]\nmodel = "{folder}"\n')
    result = run("models", "verify", EMBEDDING)
    assert (result.code, "sha256" in result.err) == (1, True)
