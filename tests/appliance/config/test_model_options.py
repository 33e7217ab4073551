"""Settings become options of the model manager."""

from pathlib import Path

import pytest

from appliance.config.loading import load
from appliance.config.model_options import model_defaults, unknown_models
from appliance.config.places import Places
from appliance.config.settings import Settings
from appliance.errors import ConfigError


def settings(folder: Path, text: str) -> Settings:
    file = folder / "docent.toml"
    file.write_text(text)
    return load(Places(folder, folder / "docent.sock", file), {})


def test_a_models_own_table_overrides_the_common_options(tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    chosen = settings(
        tmp_path,
        "[models]\ncontext = 1024\nkv_type = 'q8_0'\npreload = ['a']\n"
        "[model.'qwen2.5-0.5b']\ncontext = 512\ntemplate = 'chat.jinja'\ntemperature = 0.1\nidle_seconds = 0\n",
    )
    defaults = model_defaults(chosen, tmp_path / "docent.toml", budget=1 << 30, cpus=3)
    own = defaults.settings("qwen2.5-0.5b")
    assert (own.context, own.template, own.kv_type, own.threads) == (512, "{{ messages }}", "q8_0", 3)
    assert defaults.settings("a").context == 1024
    assert defaults.of("qwen2.5-0.5b").sampling == {"temperature": 0.1}
    assert defaults.preload == ("a",)
    assert defaults.cache_bytes == (1 << 30) // 20, "a twentieth of a small budget"
    assert unknown_models(chosen, ["a", "qwen2.5-0.5c"]) == [
        "model.qwen2.5-0.5b: no model 'qwen2.5-0.5b' is installed (did you mean qwen2.5-0.5c?)"
    ]


def test_a_default_that_is_not_installed_is_reported(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "[models]\ndefault = 'big'\n")
    assert unknown_models(chosen, ["bit"]) == ["models.default: no model 'big' is installed (did you mean bit?)"]
    assert unknown_models(chosen, ["big"]) == []
    for text in (
        "default = 'extractive'",
        "default = 'far'\n[providers.far]\nkind='ollama'\nurl='http://[::1]:1'\nmodel='m'",
    ):
        assert unknown_models(settings(tmp_path, f"[models]\n{text}\n"), []) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model.m]\ncontxt = 512\n", r"model\.m\.contxt: unknown key \(did you mean context\?\)"),
        ("[model.m]\ncontext = 1\n", r"model\.m\.context = 1: it must be at least 256$"),
        ("[model.m]\nkv_type = 'f8'\n", r"model\.m\.kv_type = 'f8'"),
        ("[model.'a b']\ncontext = 512\n", "letters, digits"),
        ("[model.docent]\ncontext = 512\n", "reserved"),
        ("[models]\npreload = ['a/b']\n", "letters, digits"),
        ("[model]\ncontext = 512\n", "model.context"),
    ],
)
def test_a_key_that_is_unknown_or_out_of_range_is_reported(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings(tmp_path, text)


@pytest.mark.parametrize("content", [None, b"\xff", b"x" * ((1 << 20) + 1)])
def test_a_template_that_cannot_be_used_is_refused_with_its_path(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "chat.jinja").write_bytes(content)
    chosen = settings(tmp_path, "[model.m]\ntemplate = 'chat.jinja'\n")
    with pytest.raises(ConfigError, match=r"model\.m\.template = .*chat\.jinja"):
        model_defaults(chosen, tmp_path / "docent.toml", budget=1 << 30, cpus=1)
