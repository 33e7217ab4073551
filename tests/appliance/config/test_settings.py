"""Settings: where they come from, and the errors for wrong ones."""

from pathlib import Path

import pytest

from appliance.config.loading import load
from appliance.config.places import Places, find_places
from appliance.config.settings import Settings
from appliance.errors import ConfigError


def places(tmp_path: Path, toml: str = "") -> Places:
    config = tmp_path / "docent.toml"
    if toml:
        config.write_text(toml, encoding="utf-8")
    return Places(tmp_path, tmp_path / "docent.sock", config)


def test_without_file_and_environment_the_defaults_apply(tmp_path: Path) -> None:
    assert load(places(tmp_path), {}) == Settings()


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    found = load(places(tmp_path, "[models]\ncontext = 1024\n"), {"DOCENT_MODELS_CONTEXT": "2048"})
    assert found.models.context == 2048


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[models]\ncontxt = 5\n", r"models\.contxt: unknown key"),
        ("[models]\ncontext = 5\n", r"models\.context = 5"),
        ("[models]\ncontxt = 5\n", r"unknown key \(did you mean context\?\)"),
        ("[nonsense]\nx = 1\n", "nonsense: unknown section$"),
        ("[modls]\nx = 1\n", r"modls: unknown section \(did you mean models\?\)"),
        ("[models]\ncontext = 'many'\n", "models.context = 'many': it must be a whole number$"),
        ("[models]\ncontext = 5\n", "models.context = 5: it must be at least 256$"),
        ("[library]\nsettle_seconds = 'x'\n", "it must be a number$"),
        ("[service]\nlog_level = 'loud'\n", "= 'loud': it must be debug, info, warning or error$"),
        ("[models]\nflash_attention = 3\n", "it must be true or false$"),
        ("library = 3\n", "library = 3: it must be a section of settings$"),
        ("[models\n", "not valid TOML"),
    ],
)
def test_a_wrong_setting_names_file_key_and_value(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load(places(tmp_path, toml), {})
    assert "docent.toml" in caught.value.what
    assert caught.value.hint


def test_under_systemd_the_units_folders_are_used() -> None:
    found = find_places({"STATE_DIRECTORY": "/var/lib/docent", "RUNTIME_DIRECTORY": "/run/docent", "HOME": "/"})
    assert (found.home, found.socket) == (Path("/var/lib/docent"), Path("/run/docent/docent.sock"))


def test_docent_home_holds_everything(tmp_path: Path) -> None:
    found = find_places({"DOCENT_HOME": str(tmp_path), "HOME": "/nowhere"})
    assert (found.library, found.socket) == (tmp_path / "library", tmp_path / "docent.sock")
    assert found.config == tmp_path / "docent.toml"


def test_without_a_home_the_xdg_folders_are_used(tmp_path: Path) -> None:
    (tmp_path / "data" / "docent").mkdir(parents=True)
    found = find_places({"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")})
    assert found.home == tmp_path / "data" / "docent"


def test_a_value_in_place_of_a_section_is_reported_even_if_the_environment_sets_one_of_its_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="library = 3"):
        load(places(tmp_path, "library = 3\n"), {"DOCENT_LIBRARY_SETTLE_SECONDS": "1"})


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("DOCENT_BOGUS", r"DOCENT_BOGUS: unknown variable"),
        ("DOCENT_MODEL_CONTEXT", r"unknown variable \(did you mean DOCENT_MODELS_CONTEXT\?\)"),
        ("DOCENT_MODELS_CONTXT", r"unknown variable \(did you mean DOCENT_MODELS_CONTEXT\?\)"),
    ],
)
def test_an_unknown_variable_is_refused(tmp_path: Path, variable: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(places(tmp_path), {variable: "5"})
    with pytest.raises(ConfigError, match=rf"models\.context = 5.*; {variable}"):
        load(places(tmp_path, "[models]\ncontext = 5\n"), {variable: "5"})


def test_variables_of_places_and_of_other_programs_are_ignored(tmp_path: Path) -> None:
    environment = {"DOCENT_HOME": "/x", "DOCENT_SOCKET": "/y", "DOCENT_CONFIG": "/z", "DOCENT_PYTHON": "p", "A": "b"}
    assert load(places(tmp_path), environment) == load(places(tmp_path), {})


@pytest.mark.parametrize("section", ["models", "model.tiny"])
def test_a_quantised_cache_without_flash_attention_is_refused(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigError, match=r"flash_attention = False: .*q8_0 needs flash attention"):
        load(places(tmp_path, f'[{section}]\nkv_type = "q8_0"\nflash_attention = false\n'), {})
    assert load(places(tmp_path, f"[{section}]\nflash_attention = false\n"), {})
