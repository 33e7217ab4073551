"""`docent adapters import, list, remove`: work on the folder of adapters, with or without a service."""

from pathlib import Path

import pytest

from tests.appliance.cli.conftest import Run
from tests.gguf_builder import write_adapter, write_model
from tests.peft_builder import tensors, write_peft


@pytest.fixture
def base(run: Run, tmp_path: Path) -> str:
    assert run("models", "import", str(write_model(tmp_path / "pump.gguf"))).code == 0
    return "pump"


def test_a_peft_folder_is_imported_for_the_model_it_fits(run: Run, base: str, tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "legal")
    done = run("adapters", "import", f"{folder}/", "--licence", "mit", "--notes", "of the contracts", "--json").json
    assert (done["id"], done["base"]["id"], done["rank"], done["alpha"]) == ("legal", base, 4, 8.0)
    assert (done["licence"], done["notes"], done["versions"]) == ("mit", "of the contracts", [done["version"]])
    (listed,) = run("adapters", "list", "--json").json["adapters"]
    assert listed == done
    shown = run("adapters", "list").out
    for text in ("legal", done["version"], base, "llama", "mit", done["sha256"], "of the contracts"):
        assert text in shown


def test_other_content_needs_replace_and_becomes_the_version_in_use(run: Run, base: str, tmp_path: Path) -> None:
    first = run("adapters", "import", str(write_adapter(tmp_path / "legal.gguf")), "--json").json
    source = str(write_peft(tmp_path / "next", tensors(seed=9)))
    refused = run("adapters", "import", source, "--id", "legal")
    assert (refused.code, "--replace" in refused.err) == (5, True)
    second = run("adapters", "import", source, "--id", "legal", "--replace", "--json").json
    assert second["versions"] == [second["version"], first["version"]]
    assert run("adapters", "remove", "legal", "--version", second["version"]).code == 5
    assert run("adapters", "remove", "legal", "--version", first["version"][:5]).code == 0
    assert run("adapters", "remove", "legal", "--json").json["sha256"] == second["sha256"]
    assert run("adapters", "list", "--json").json == {"adapters": []}


def test_an_unknown_base_and_one_that_does_not_fit_are_refused(run: Run, base: str, tmp_path: Path) -> None:
    folder = str(write_peft(tmp_path / "legal", tensors(layers=1) | tensors(rank=4)))
    assert run("adapters", "import", folder, "--base", "absent").code == 4
    tall = str(write_peft(tmp_path / "tall", {k.replace("layers.1", "layers.7"): v for k, v in tensors().items()}))
    refused = run("adapters", "import", tall, "--base", base)
    assert (refused.code, "layers.7" in refused.err) == (1, True)


def test_an_adapter_may_be_imported_before_its_model(run: Run, tmp_path: Path) -> None:
    done = run("adapters", "import", str(write_adapter(tmp_path / "legal.gguf")))
    assert (done.code, "No installed model fits it yet." in done.out) == (0, True)
    assert run("adapters", "list", "--json").json["adapters"][0]["base"] is None


def test_a_damaged_adapter_is_listed_with_its_reason_and_can_be_removed(
    run: Run, home: Path, base: str, tmp_path: Path
) -> None:
    run("adapters", "import", str(write_adapter(tmp_path / "legal.gguf")))
    (home / "adapters" / "legal" / "adapter.gguf").unlink()
    assert "legal: cannot be used: the file" in run("adapters", "list").out
    assert run("adapters", "list", "--json").json == {"adapters": []}
    assert run("adapters", "remove", "legal").code == 0
    assert run("adapters", "remove", "legal").code == 4


def test_the_error_for_a_folder_without_an_adapter_says_what_is_missing(run: Run, base: str, tmp_path: Path) -> None:
    result = run("adapters", "import", str(tmp_path))
    assert (result.code, "adapter_config.json is missing" in result.err) == (1, True)
