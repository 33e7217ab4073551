"""`docent config` and the tables with free names: shown as TOML that can be read again; the names in them are checked."""

import tomllib
from pathlib import Path

import pytest

from appliance.config.settings import Settings
from tests.appliance.cli.conftest import Run

PROVIDERS = """
[answer]
fallback = ["far"]
[providers.far]
kind = "ollama"
model = "m"
socket = "/run/docent-egress/far.sock"
[providers."v.2"]
kind = "openai"
model = "m"
url = "http://box:8000"
"""


@pytest.fixture
def file(home: Path) -> Path:
    path = home / "docent.toml"
    path.write_text(PROVIDERS)
    return path


def test_providers_are_shown_as_a_file_that_can_be_read_again(run: Run, file: Path) -> None:
    shown = tomllib.loads(run("config", "show").out)
    given = Settings.model_validate(tomllib.loads(PROVIDERS))
    assert Settings.model_validate(shown) == given
    entries = {entry["key"]: entry for entry in run("config", "show", "--json").json["settings"]}
    assert entries["providers.far.socket"]["source"] == str(file)
    assert (entries["providers.far.context"]["source"], entries["providers.far.context"]["value"]) == ("default", 8192)


def test_a_sound_file_is_sound(run: Run, file: Path) -> None:
    assert run("config", "check").code == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('fallback = ["far"]', 'fallback = ["fra"]', "answer.fallback names 'fra'"),
        ('model = "m"\nsocket', 'model = "m"\napi_key_file = "/nowhere/key"\nsocket', "No such file"),
        ("socket =", 'url = "http://x"\nsocket =', "it needs either socket or url, not both"),
    ],
)
def test_a_fault_is_said_with_exit_code_2(run: Run, file: Path, old: str, new: str, said: str) -> None:
    file.write_text(PROVIDERS.replace(old, new))
    result = run("config", "check")
    assert result.code == 2
    assert said in result.err


def test_a_model_of_a_providers_name_is_a_fault(run: Run, home: Path, file: Path) -> None:
    (home / "models" / "far").mkdir(parents=True)
    result = run("config", "check")
    assert (result.code, "a model on this machine has the same name" in result.err) == (2, True)
