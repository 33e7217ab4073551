"""The settings of providers: valid ones, the errors for wrong ones, and reading keys."""

from pathlib import Path

import pytest

from appliance.config.loading import load
from appliance.config.places import Places
from appliance.config.provider_specs import provider_specs, unknown_fallbacks
from appliance.config.settings import Settings
from appliance.errors import ConfigError

FAR = '[providers.far]\nkind = "ollama"\nmodel = "m"\n'
GOOD = FAR + 'socket = "/run/docent-egress/far.sock"\n'


def read(tmp_path: Path, toml: str, **environment: str) -> Settings:
    config = tmp_path / "docent.toml"
    config.write_text(toml, encoding="utf-8")
    return load(Places(tmp_path, tmp_path / "docent.sock", config), environment)


def test_a_provider_is_configured_in_its_own_table(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD + '[providers."v.2"]\nkind = "openai"\nmodel = "m"\nurl = "http://box:8000/"\n')
    specs = {spec.id: spec for spec in provider_specs(found)}
    assert specs["far"].socket == Path("/run/docent-egress/far.sock")
    assert (specs["v.2"].url, specs["v.2"].context, specs["v.2"].api_key) == ("http://box:8000", 8192, "")


def test_no_provider_is_configured_by_default() -> None:
    assert (Settings().providers, Settings().answer.fallback) == ({}, ())


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (FAR, "providers.far: it needs either socket or url, but has neither"),
        (GOOD + 'url = "http://x"\n', "providers.far: it needs either socket or url, not both"),
        (FAR + 'socket = "far.sock"\n', "socket must be an absolute path"),
        (FAR + f'socket = "/{"x" * 120}"\n', "socket is longer than the 107 bytes"),
        (FAR + 'url = "ftp://x"\n', r"url must be http://HOST:PORT"),
        (FAR + 'url = "http://me:secret@x"\n', "url must not contain a user or password"),
        (FAR + 'url = "http://x/v1"\n', "without a path such as /v1"),
        (FAR + 'url = "http://x:99999"\n', "url is not an address"),
        (GOOD + "contxt = 5\n", r"providers\.far\.contxt: unknown key"),
        (GOOD + "failure_rate = 2\n", r"providers\.far\.failure_rate = 2"),
        (GOOD + "probes = 0\n", r"providers\.far\.probes = 0"),
        ('[providers.far]\nmodel = "m"\n', r"providers\.far\.kind: this key is required"),
        (GOOD.replace("ollama", "telnet"), r"providers\.far\.kind = 'telnet'"),
        (GOOD.replace("ollama", "transformers"), "takes neither socket nor url"),
        (GOOD.replace("far]", "docent]"), r"providers\.docent.*reserved"),
        (GOOD.replace("far]", "extractive]"), r"providers\.extractive.*reserved"),
        (GOOD.replace("far]", "all-MiniLM-L6-v2]"), "reserved"),
        (GOOD.replace("far]", '"a b"]'), "letters, digits"),
        ("providers = 3\n", "providers = 3"),
        ('[answer]\nfallback = ["far", "extractive"]\n', "always answers last anyway"),
        ('[answer]\nfallback = ["a/b"]\n', "letters, digits"),
        ("[answer]\nfallback = 3\n", "answer.fallback = 3"),
    ],
)
def test_a_wrong_provider_setting_is_reported(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, toml)


def test_the_fallback_order_comes_from_the_environment_with_commas(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD, DOCENT_ANSWER_FALLBACK="far, near").answer.fallback == ("far", "near")


def test_a_provider_cannot_be_configured_by_the_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DOCENT_PROVIDERS_FAR_MODEL: providers can only be configured in the file"):
        read(tmp_path, GOOD, DOCENT_PROVIDERS_FAR_MODEL="other")


def test_unknown_and_duplicate_names_are_reported(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + '[answer]\nfallback = ["far", "fra", "here"]\n')
    assert unknown_fallbacks(settings, ["here"]) == [
        "answer.fallback names 'fra', which is neither a configured provider nor an installed model"
    ]
    assert "a model on this machine has the same name" in unknown_fallbacks(settings, ["here", "fra", "far"])[0]


def with_key(tmp_path: Path, content: bytes | None, mode: int = 0o640) -> Settings:
    path = tmp_path / "far.key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    return read(tmp_path, GOOD + f'api_key_file = "{path}"\n')


def test_a_key_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    (spec,) = provider_specs(with_key(tmp_path, b"s3cret\n"))
    assert spec.api_key == "s3cret"
    assert "s3cret" not in repr(spec)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "No such file"),
        (b"s3cret", 0o644, "every user of this machine can read it"),
        (b"", 0o600, "does not hold one key"),
        (b"two\nlines", 0o600, "does not hold one key"),
        (b"\xff\xfe", 0o600, "does not hold one key"),
        (b"x" * 5000, 0o600, "does not hold one key"),
    ],
)
def test_an_unusable_key_is_reported_without_showing_it(
    tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    settings = with_key(tmp_path, content, mode)
    with pytest.raises(ConfigError, match=said) as caught:
        provider_specs(settings)
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)


def test_a_folder_in_place_of_a_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "far.key").mkdir()
    with pytest.raises(ConfigError, match=r"directory|not a regular file"):
        provider_specs(with_key(tmp_path, None))
