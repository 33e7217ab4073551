"""`docent models pull, import, suggest, versions, use`: with a hub on localhost, with folders, without a service."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.cli.conftest import Run
from tests.fake_service import FakeService
from tests.gguf_builder import write_adapter, write_garbage, write_model, write_truncated
from tests.hub_server import COMMIT, REPO, FakeHub, serving_hub

NAME = "pump-Q4_K_M.gguf"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "pump.gguf")


@pytest.fixture
def hub(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving_hub(FakeHub({NAME: source.read_bytes()})) as serving:
        monkeypatch.setenv("HF_ENDPOINT", serving.address)
        yield serving


def test_a_pull_shows_licence_size_and_commit_and_installs(run: Run, hub: FakeHub) -> None:
    done = run("models", "pull", REPO)
    assert done.code == 0
    for told in (
        f"{REPO}:{NAME} at {COMMIT[:8]}",
        hub.address,
        "licence: apache-2.0",
        "installed pump-Q4_K_M",
        "verified",
    ):
        assert told in done.out
    assert run("models", "verify", "pump-Q4_K_M").code == 0


def test_the_json_of_a_pull_is_the_model_with_where_it_came_from(run: Run, hub: FakeHub) -> None:
    model = run("models", "pull", f"{REPO}:Q4_K_M", "--id", "pump", "--revision", "main", "--json").json
    assert (model["id"], model["source"], model["revision"]) == ("pump", f"{REPO}:{NAME}", COMMIT)
    assert (model["licence"], model["versions"]) == ("apache-2.0", [model["version"]])
    assert hub.requests[0][1].endswith("/revision/main")


def test_a_running_service_rescans_after_a_pull(run: Run, hub: FakeHub, service: FakeService) -> None:
    run("models", "pull", REPO)
    assert ("rescan", "") in service.actions


def test_a_choice_is_asked_for_with_all_sizes(run: Run, hub: FakeHub, source: Path) -> None:
    hub.files = {"a-Q5_K_M.gguf": source.read_bytes(), "a-Q8_0.gguf": source.read_bytes()}
    error = run("models", "pull", REPO, "--json")
    assert (error.code, error.json["error"]["code"]) == (2, "file_not_chosen")
    assert all(name in error.json["error"]["hint"] for name in (*hub.files, "MB"))


@pytest.mark.parametrize(
    ("model", "code"), [("nothing", 2), ("a/b/c", 2), (f"{REPO}:x.gguf", 4), ("clinic/none", 4), (f"{REPO}:Q2_K", 2), ("../x", 2)]
)  # fmt: skip
def test_a_model_that_does_not_exist_is_an_error_with_a_hint(run: Run, hub: FakeHub, model: str, code: int) -> None:
    done = run("models", "pull", model)
    assert (done.code, "→" in done.err) == (code, True)


def test_an_unreachable_hub_is_named_in_the_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = run("models", "pull", REPO, "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "hub_unreachable")


def test_a_token_comes_from_a_file_and_is_never_shown(
    run: Run, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("hf_secret\n")
    token.chmod(0o600)
    hub.token = "hf_secret"
    refused = run("models", "pull", REPO)
    assert (refused.code, "--token-file" in refused.err) == (5, True)
    done = run("models", "pull", REPO, "--token-file", str(token))
    assert (done.code, done.err) == (0, "")
    monkeypatch.setenv("HF_TOKEN_PATH", str(token))
    again = run("models", "pull", REPO)
    assert again.code == 0
    assert "hf_secret" not in done.out + again.out + refused.err


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", b"x" * 5000, None])
def test_a_file_that_holds_no_token_is_refused_without_showing_it(
    run: Run, hub: FakeHub, tmp_path: Path, content: bytes | None
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    done = run("models", "pull", REPO, "--token-file", str(token))
    assert (done.code, "token" in done.err, "words" in done.err) == (2, True, False)
    assert not hub.requests


def test_the_configuration_names_a_mirror(run: Run, hub: FakeHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT")
    (home / "docent.toml").write_text(f'[hub]\nendpoint = "{hub.address}/"\n')
    assert run("models", "pull", REPO).code == 0


def test_a_recommended_model_is_pulled_by_its_short_name(run: Run, hub: FakeHub) -> None:
    hub.repo, content = "bartowski/Mistral-7B-Instruct-v0.3-GGUF", hub.files.pop(NAME)
    hub.files = {f"Mistral-7B-Instruct-v0.3-{kind}.gguf": content for kind in ("Q4_K_M", "Q8_0")}
    model = run("models", "pull", "mistral-7b-instruct", "--json").json
    assert (model["id"], model["source"]) == ("mistral-7b-instruct", f"{hub.repo}:Mistral-7B-Instruct-v0.3-Q4_K_M.gguf")
    assert run("models", "pull", "mistral-7b-instruct:Q8_0", "--json").json["id"] == "mistral-7b-instruct-q8_0"


def test_pulling_other_content_keeps_the_version_before(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    old = run("models", "pull", REPO, "--id", "pump", "--json").json["version"]
    hub.files = {NAME: write_model(tmp_path / "n.gguf", seed=4).read_bytes()}
    done = run("models", "pull", REPO, "--id", "pump")
    assert f"`docent models use pump {old}` switches back" in done.out


def test_versions_are_listed_switched_and_removed(run: Run, source: Path) -> None:
    old = run("models", "import", str(source), "--json").json["version"]
    write_model(source, seed=5)
    assert run("models", "import", str(source)).code == 5
    new = run("models", "import", str(source), "--replace", "--json").json["version"]
    listed = run("models", "versions", "pump", "--json").json["versions"]
    assert {one["version"]: one["current"] for one in listed} == {new: True, old: False}
    assert f"*  {new}" in run("models", "versions", "pump").out
    assert run("models", "use", "pump", old[:5], "--json").json["version"] == old
    assert run("models", "remove", "pump", "--version", old).code == 5
    assert run("models", "use", "pump", "ffff").code == 4
    assert run("models", "remove", "pump", "--version", new, "--json").json["version"] == new
    assert [one["version"] for one in run("models", "versions", "pump", "--json").json["versions"]] == [old]


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A folder with models and other files, like a USB stick."""
    folder = tmp_path / "stick"
    (folder / "models" / "deep").mkdir(parents=True)
    write_model(folder / "a.gguf", seed=1)
    write_model(folder / "models" / "deep" / "b.GGUF", seed=2)
    write_garbage(folder / "broken.gguf")
    write_truncated(folder / "half.gguf")
    write_adapter(folder / "lora.gguf")
    for name in ("big-00001-of-00002.gguf", "mmproj-x.gguf", ".hidden.gguf", "readme.txt"):
        (folder / name).write_bytes(b"x")
    return folder


def test_of_a_folder_with_several_models_one_must_be_chosen(run: Run, stick: Path) -> None:
    done = run("models", "import", str(stick))
    assert (done.code, "--all" in done.err, "a.gguf" in done.err, "b.GGUF" in done.err) == (2, True, True, True)
    assert run("models", "import", str(stick), "--all", "--id", "x").code == 2


def test_all_models_of_a_folder_are_imported_and_skipped_files_are_named(run: Run, stick: Path) -> None:
    done = run("models", "import", str(stick), "--all", "--json")
    assert (done.code, [model["id"] for model in done.json["models"]], done.json["failed"]) == (0, ["a", "b"], [])
    reasons = {Path(one["file"]).name: one["reason"] for one in done.json["skipped"]}
    assert set(reasons) == {"broken.gguf", "half.gguf", "lora.gguf", "big-00001-of-00002.gguf", "mmproj-x.gguf"}
    assert "several files" in reasons["big-00001-of-00002.gguf"]
    assert "adapter" in reasons["lora.gguf"]
    assert "pictures" in reasons["mmproj-x.gguf"]


def test_a_model_that_fails_does_not_stop_the_others(run: Run, stick: Path) -> None:
    (stick / "a.gguf.sha256").write_text(f"{'0' * 64}  a.gguf\n")
    done = run("models", "import", str(stick), "--all", "--json")
    assert (done.code, [model["id"] for model in done.json["models"]]) == (1, ["b"])
    assert [one["error"]["code"] for one in done.json["failed"]] == ["hash_mismatch"]


def test_the_only_model_of_a_folder_is_imported(run: Run, stick: Path) -> None:
    (stick / "a.gguf").unlink()
    done = run("models", "import", str(stick), "--id", "mine")
    assert (done.code, "installed mine" in done.out, "skipped" in done.out) == (0, True, True)


def test_a_folder_without_models_is_refused_with_what_is_there(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no GGUF" in run("models", "import", str(empty)).err
    write_garbage(empty / "x.gguf")
    assert "x.gguf" in run("models", "import", str(empty)).err


@pytest.mark.parametrize("name", ["x-00002-of-00003.gguf", "mmproj-model-f16.gguf"])
def test_parts_of_models_are_explained(run: Run, tmp_path: Path, name: str) -> None:
    done = run("models", "import", str(write_model(tmp_path / name)))
    assert (done.code, "part" in done.err) == (1, True)


def test_a_checksum_file_beside_the_model_counts(run: Run, source: Path, home: Path) -> None:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    sums = source.with_name("SHA256SUMS")
    sums.write_text(f"{'1' * 64} *pump.gguf\n")
    refused = run("models", "import", str(source), "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "hash_mismatch")
    assert not (home / "models" / "pump").exists()
    sums.write_text(f"{'1' * 64}  other.gguf\n{digest.upper()} *./pump.gguf\n")
    assert run("models", "import", str(source)).code == 0


def test_models_copied_from_another_docent_keep_their_names_and_origins(
    run: Run, hub: FakeHub, home: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        hub.files = {NAME: write_model(tmp_path / "n.gguf", seed=len(name) + ord(name[0])).read_bytes()}
        run("models", "pull", REPO, "--id", name)
    stick = tmp_path / "stick"
    (home / "models").rename(stick)
    done = run("models", "import", str(stick), "--all", "--json").json
    assert [(model["id"], model["revision"], model["licence"]) for model in done["models"]] == [
        ("one", COMMIT, "apache-2.0"),
        ("two", COMMIT, "apache-2.0"),
    ]
    spoiled = stick / "one" / "model.gguf"
    content = bytearray(spoiled.read_bytes())
    content[-1] ^= 1
    spoiled.write_bytes(content)
    assert run("models", "import", str(spoiled), "--id", "three", "--json").json["error"]["code"] == "hash_mismatch"


def test_suggest_marks_one_model_and_explains_why_others_do_not_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCENT_MODELS_MEMORY_BYTES", str(3_000_000_000))
    monkeypatch.setattr("models.acquisition.recommended.copy_rate", lambda: 5e9)
    reply = run("models", "suggest", "--json").json
    fitting = {one["id"]: one["fits"] for one in reply["models"]}
    assert fitting[reply["best"]]
    assert not fitting["mistral-7b-instruct"]
    assert all(one["why_not"] for one in reply["models"] if not one["fits"])
    text = run("models", "suggest").out
    assert "needs" in text
    assert f"docent models pull {reply['best']}" in text


def test_suggest_needs_no_sudo_for_a_home_that_does_not_exist_yet(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCENT_HOME", str(home / "not" / "yet"))
    out = run("models", "suggest").out
    assert "docent models pull" in out
    assert "sudo" not in out


def test_the_embedding_model_has_no_versions(run: Run) -> None:
    for command in (("versions", "all-MiniLM-L6-v2"), ("use", "all-MiniLM-L6-v2", "3f")):
        result = run("models", *command)
        assert (result.code, "it is the embedding model, and has no versions" in result.err) == (4, True)


def test_suggest_uses_the_budget_of_a_running_service(run: Run, service: FakeService) -> None:
    assert run("models", "suggest", "--json").json["machine"]["memory"] == 8 << 30


def test_suggest_says_so_if_no_model_fits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCENT_MODELS_MEMORY_BYTES", "1000000")
    assert "None of them fits" in run("models", "suggest").out
