"""Status, memory, models, configuration, doctor, and the start of the terminal interface."""

import json
import tomllib
from pathlib import Path

import pytest

from appliance import wire
from appliance.cli import doctor_checks
from appliance.config.places import Places, find_places
from appliance.config.settings import SECTIONS, Settings
from appliance.display.humanize import amount
from tests.appliance.cli.conftest import Run
from tests.fake_service import FakeService, document


def model(model_id: str = "qwen", state: str = "installed") -> wire.Model:
    return wire.Model.model_validate(
        {"id": model_id, "kind": "gguf", "state": state, "architecture": "qwen2", "size": 3 << 20, "sha256": "ab"}
    )


def test_status_counts_documents_and_models(run: Run, service: FakeService) -> None:
    service.put(document("a.pdf"))
    service.put(document("b.pdf", "pending"))
    service.models = [model(state="loaded")]
    out = run("status").out
    assert "1 indexed, 0 indexing, 1 pending, 0 failed" in out
    assert "1 to do" in out
    assert "qwen" in out
    assert run("status", "--json").json["documents"]["pending"] == 1


def test_memory_shows_budget_and_holders(run: Run, service: FakeService) -> None:
    out = run("memory").out
    assert out.startswith("100.0 MiB of 8.0 GiB in use\n")
    assert "all-MiniLM-L6-v2" in out
    assert run("memory", "--json").json["budget"] == 8 << 30


def test_models_are_listed(run: Run, service: FakeService) -> None:
    assert "docent models import" in run("models", "list").out
    service.models = [model()]
    assert "qwen" in run("models", "list").out
    assert run("models", "list", "--json").json["models"][0]["id"] == "qwen"


@pytest.mark.parametrize("action", ["load", "unload", "pin", "unpin"])
def test_an_action_on_a_model_prints_its_new_state(run: Run, service: FakeService, action: str) -> None:
    service.models = [model()]
    assert run("models", action, "qwen").code == 0
    assert service.actions == [(action, "qwen")]
    assert run("models", action, "nix").code == 4


def test_a_file_that_is_not_a_model_is_refused_with_the_reason(run: Run, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "garbage.gguf"
    path.write_bytes(b"garbage" * 100)
    result = run("models", "import", str(path))
    assert result.code == 1
    assert "it is not a GGUF file" in result.err
    assert not list(home.glob("models/[!.]*"))


@pytest.mark.parametrize(
    "command",
    [
        ("models", "remove"),
        ("models", "verify"),
        ("models", "import"),
        ("adapters", "remove"),
        ("adapters", "import"),
    ],
)
def test_an_unknown_name_ends_with_4(run: Run, command: tuple[str, str]) -> None:
    assert run(*command, "nix").code == 4


def test_an_unknown_model_is_named_with_what_was_attempted(run: Run) -> None:
    assert run("models", "remove", "nix").err.startswith("docent: removing the model 'nix': no model of this name")


def test_a_pdf_in_place_of_an_adapter_is_refused_with_what_to_import(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 no adapter")
    result = run("adapters", "import", str(tmp_path / "bad.pdf"))
    assert (result.code, result.err.splitlines()[1]) == (1, "  → import a .gguf file, or a folder as PEFT saves it")


def test_having_no_adapters_is_not_a_failure(run: Run) -> None:
    result = run("adapters", "list")
    assert (result.code, "No adapters." in result.out) == (0, True)
    assert run("adapters", "list", "--json").json == {"adapters": []}


def test_config_show_is_a_configuration_file_with_every_key(run: Run, home: Path) -> None:
    shown = tomllib.loads(run("config", "show").out)
    assert Settings.model_validate(shown) == Settings()
    assert {section: [*keys] for section, keys in shown.items()} == {
        section: [*fields.model_fields] for section, fields in SECTIONS.items()
    }
    assert Settings.model_validate(shown) == Settings()
    assert {section: [*keys] for section, keys in shown.items()} == {
        section: [*fields.model_fields] for section, fields in SECTIONS.items()
    }


def test_config_show_says_where_each_value_came_from(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "docent.toml").write_text('[models]\ncontext = 4096\n[service]\nlog_level = "debug"\n')
    monkeypatch.setenv("DOCENT_SERVICE_LOG_LEVEL", "warning")
    settings = {entry["key"]: entry for entry in run("config", "show", "--json").json["settings"]}
    assert settings["models.context"]["source"] == str(home / "docent.toml")
    assert settings["models.context"]["default"] == 8192
    assert (settings["service.log_level"]["value"], settings["service.log_level"]["source"]) == (
        "warning",
        "environment DOCENT_SERVICE_LOG_LEVEL",
    )
    assert settings["ingest.page_seconds"]["source"] == "default"


def test_config_check_names_every_fault(run: Run, home: Path) -> None:
    assert run("config", "check").code == 0
    (home / "docent.toml").write_text("[models]\ncontext = 3\nnix = 1\n")
    result = run("config", "check")
    assert result.code == 2
    assert "models.context = 3" in result.err
    assert "models.nix: unknown key" in result.err


def test_the_interface_needs_a_terminal(run: Run) -> None:
    result = run("tui")
    assert result.code == 2
    assert "must be a terminal" in result.err


def test_the_doctor_works_without_a_service(run: Run, home: Path) -> None:
    result = run("doctor", "--json")
    found = {entry["check"]: entry["state"] for entry in result.json["checks"]}
    assert (found["python"], found["libraries"], found["database"]) == ("ok", "ok", "ok")
    assert found["service"] == "error"
    assert (result.code, result.json["ok"]) == (1, False)
    assert not any(entry["hint"] for entry in result.json["checks"] if entry["state"] == "ok")


def test_the_doctor_finds_no_fault_with_a_running_service(run: Run, service: FakeService) -> None:
    findings = run("doctor", "--json").json["checks"]
    assert next(entry["state"] for entry in findings if entry["check"] == "service") == "ok"


def test_text_recognition_that_is_switched_off_is_a_warning(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCENT_INGEST_OCR", "off")
    finding = next(entry for entry in run("doctor", "--json").json["checks"] if entry["check"] == "ocr")
    assert (finding["state"], "switched off" in finding["detail"]) == ("warning", True)
    assert "DOCENT_INGEST_OCR" in finding["hint"]


def test_a_library_that_is_not_available_is_reported(run: Run, service: FakeService) -> None:
    service.library_away = True
    finding = next(entry for entry in run("doctor", "--json").json["checks"] if entry["check"] == "library")
    assert finding["state"] == "error"
    assert "mount it" in finding["hint"]
    assert "not mounted" in run("status").out
    assert run("status", "--json").json["library_away"] is True
    assert "remove --missing" in finding["hint"]
    assert run("documents", "remove").code == run("documents", "remove", "a.pdf", "--missing").code == 2
    said = "forgot 2 documents that the library's folder does not hold\n"
    assert run("documents", "remove", "--missing", "--yes").out == said
    assert service.actions == [("accept", "library")]


def test_the_hint_for_a_users_own_service_does_not_name_systemd(run: Run) -> None:
    other = "if a service runs on another home, set the same DOCENT_HOME here"
    assert run("status").err.endswith(f"  → start it: `docent serve`; {other}\n")


def test_config_check_counts_the_changed_settings(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("config", "check").out.endswith("and none is needed. All settings are the defaults.\n")
    (home / "docent.toml").write_text("[models]\ncontext = 4096\n")
    monkeypatch.setenv("DOCENT_SERVICE_LOG_LEVEL", "warning")
    said = "is valid. Settings: 1 from the file, 1 from the environment; the others are the defaults.\n"
    assert run("config", "check").out.endswith(said)
    monkeypatch.setenv("DOCENT_BOGUS", "abc")
    assert run("config", "check").code == 2


def test_the_doctor_prints_a_hint_with_every_fault(run: Run, home: Path) -> None:
    (home / "docent.toml").write_text("[nix]\n")
    result = run("doctor")
    assert result.code == 1
    assert "FAIL  configuration nix: unknown section" in result.out
    assert "→ `docent config show`" in result.out


def test_every_check_has_its_own_name_and_a_hint_when_not_ok(home: Path) -> None:
    findings = [check(find_places()) for check in doctor_checks.CHECKS]
    assert len({finding.check for finding in findings}) == len(findings)
    assert all(bool(finding.hint) == (finding.state != "ok") for finding in findings)


def test_a_socket_path_over_the_limit_is_an_error(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120) / "docent.sock"
    assert doctor_checks.socket_path(Places(tmp_path, long, tmp_path / "docent.toml")).state == "error"


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_amounts_are_readable(size: int, words: str) -> None:
    assert amount(size) == words


def test_json_output_is_one_document_without_control_characters(run: Run, service: FakeService) -> None:
    service.put(document("\x9b31m\u202e.pdf"))
    out = run("documents", "list", "--json").out
    assert json.loads(out)["documents"][0]["document"] == "\x9b31m\u202e.pdf"
    assert not {"\x9b", "\u202e"} & set(out)


def test_a_group_without_a_command_says_that_one_is_missing(run: Run) -> None:
    result = run("models")
    assert result.code == 2
    assert "Error: a command is missing" in result.err
    assert result.err.count("Usage:") == 1
