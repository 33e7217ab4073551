"""A pull installs exactly what the hub announced, whatever the hub, the connection or the disk does."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from models.acquisition import hub as hub_module
from models.acquisition.hub import Hub, Patience
from models.acquisition.pull import FOLDER, PullRequest, look_up, pull
from models.catalog.catalog import Catalog, ModelSpec
from models.errors import (
    HashMismatch,
    HubFileUnknown,
    HubRefused,
    HubUnreachable,
    InvalidModelFile,
    InvalidModelId,
    ModelBusy,
    ModelError,
    ModelStorageFull,
)
from tests.gguf_builder import Shape, write_garbage, write_model
from tests.hub_server import COMMIT, REPO, FakeHub, serving_hub

NAME = "pump-Q4_K_M.gguf"
Pull = Callable[..., ModelSpec]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of about 8 MB."""
    folder = tmp_path_factory.mktemp("hub")
    return write_model(folder / NAME, shape=Shape(width=256, feed_forward=1024)).read_bytes()


@pytest.fixture
def hub(content: bytes) -> Iterator[FakeHub]:
    with serving_hub(FakeHub({NAME: content})) as serving:
        yield serving


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "models")


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(hub: FakeHub, slept: list[float]) -> Iterator[Hub]:
    patience = Patience(answer_s=5.0, attempts=3, pause_s=10.0, sleep=slept.append)
    with Hub(hub.address, hub.token, patience) as open_hub:
        yield open_hub


@pytest.fixture
def get(client: Hub, catalog: Catalog) -> Pull:
    def fetch(file: str = "", **options: str) -> ModelSpec:
        return pull(client, look_up(client, REPO, file, **options), catalog)

    return fetch


def partials(catalog: Catalog) -> list[int]:
    """Sizes in bytes of the parts of broken pulls."""
    return [path.stat().st_size for path in sorted((catalog.root / FOLDER).glob("*"))]


def test_a_pulled_model_is_the_one_announced_with_its_origin_and_licence(
    get: Pull, catalog: Catalog, content: bytes
) -> None:
    spec = get()
    assert spec.path.read_bytes() == content
    assert (spec.id, spec.source, spec.revision) == ("pump-Q4_K_M", f"{REPO}:{NAME}", COMMIT)
    assert (spec.licence, spec.card_licence) == ("apache-2.0", "apache-2.0")
    assert catalog.list() == (spec,)
    assert sorted(path.name for path in catalog.root.iterdir()) == [".lock", "pump-Q4_K_M"]
    assert spec.path.stat().st_mode & 0o777 == 0o640


def test_a_broken_connection_is_resumed_where_it_broke(
    get: Pull, hub: FakeHub, content: bytes, slept: list[float]
) -> None:
    hub.cut_after = [1 << 20, 1 << 20]
    assert get().path.read_bytes() == content
    assert hub.ranges() == ["", f"bytes={1 << 20}-", f"bytes={2 << 20}-"]
    assert hub.sent == len(content)
    assert len(slept) == 2


def test_an_answer_that_ends_early_without_an_error_is_resumed_too(
    get: Pull, hub: FakeHub, content: bytes, slept: list[float]
) -> None:
    hub.cut_after, hub.no_length = [1 << 20], True
    assert get().path.read_bytes() == content
    assert hub.ranges() == ["", f"bytes={1 << 20}-"]
    assert (hub.sent, len(slept)) == (len(content), 1)


def test_a_file_that_always_ends_at_the_same_place_is_not_the_one_announced(
    get: Pull, hub: FakeHub, catalog: Catalog, slept: list[float]
) -> None:
    hub.cut_after, hub.no_length = [1 << 20, 0, 0, 0], True
    with pytest.raises(HashMismatch, match="ended after 1048576 bytes"):
        get()
    assert (partials(catalog), len(slept)) == ([], 2)


def test_the_existing_part_is_read_with_progress(client: Hub, catalog: Catalog, hub: FakeHub) -> None:
    seen: list[tuple[int, int]] = []
    wanted = look_up(client, REPO)
    hub.cut_after = [5 << 20, 0, 0, 0]
    with pytest.raises(HubUnreachable):
        pull(client, wanted, catalog)
    pull(client, wanted, catalog, lambda done, total: seen.append((done, total)))
    assert seen[0] == (4 << 20, wanted.file.size), "the partial file is read"
    assert seen[-1] == (wanted.file.size, wanted.file.size)
    seen.clear()
    pull(client, wanted, catalog, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (wanted.file.size, wanted.file.size), "the installed one is hashed"


def test_a_hub_that_cannot_resume_starts_from_zero(get: Pull, hub: FakeHub, content: bytes) -> None:
    hub.cut_after, hub.send_whole = [1 << 20], True
    assert get().path.read_bytes() == content
    assert hub.sent == len(content) + (1 << 20)


def test_a_connection_that_stays_broken_ends_the_pull_and_keeps_the_part(
    get: Pull, hub: FakeHub, catalog: Catalog
) -> None:
    hub.cut_after = [1 << 20, 0, 0, 0, 0]
    with pytest.raises(HubUnreachable, match="does not answer"):
        get()
    assert (partials(catalog), catalog.list()) == ([1 << 20], ())
    hub.cut_after = []
    get()
    assert hub.ranges()[-1] == f"bytes={1 << 20}-"


def test_a_killed_pull_resumes_where_it_stopped(hub: FakeHub, content: bytes, tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "DOCENT_HOME": str(home), "HF_ENDPOINT": hub.address, "HOME": "/nonexistent"}
    command = [sys.executable, "-m", "appliance", "models", "pull", REPO, "--json"]
    hub.hold_after = 4 << 20
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert hub.held.wait(30)
    part = home / "models" / FOLDER / f"{hub.digest(NAME)}.part"
    while not part.exists() or part.stat().st_size < 3 << 20:  # the bytes sent are still on their way
        assert process.poll() is None
    process.kill()
    process.communicate()
    kept, before = part.stat().st_size, hub.sent
    hub.hold_after, hub.sent = None, 0
    hub.go_on.set()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["sha256"] == hub.digest(NAME)
    assert (done.stderr, hub.ranges()[-1]) == ("", f"bytes={kept}-")
    assert before >= kept
    assert (home / "models/pump-Q4_K_M/model.gguf").read_bytes() == content


def lying_about_the_hash(hub: FakeHub) -> None:
    hub.sha256[NAME] = "0" * 64


def shorter_than_announced(hub: FakeHub) -> None:
    hub.short_by = 1000


def longer_than_announced(hub: FakeHub) -> None:
    hub.extra = b"more"


def announcing_more_than_it_has(hub: FakeHub) -> None:
    hub.sizes[NAME] = len(hub.files[NAME]) + 5


def ending_early_without_a_length(hub: FakeHub) -> None:
    hub.extra, hub.sizes[NAME] = b"x", len(hub.files[NAME]) + 2


@pytest.mark.parametrize(
    "fault",
    [
        lying_about_the_hash,
        shorter_than_announced,
        longer_than_announced,
        announcing_more_than_it_has,
        ending_early_without_a_length,
    ],
)
def test_content_other_than_announced_is_refused_and_removed(
    get: Pull, hub: FakeHub, catalog: Catalog, fault: Callable[[FakeHub], None]
) -> None:
    fault(hub)
    with pytest.raises(HashMismatch):
        get()
    assert (catalog.list(), partials(catalog)) == ((), [])


def test_a_damaged_part_is_detected_removed_and_downloaded_again(get: Pull, hub: FakeHub, catalog: Catalog) -> None:
    part = catalog.root / FOLDER / f"{hub.digest(NAME)}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(1 << 20))
    with pytest.raises(HashMismatch, match="sha256"):
        get()
    catalog.verify(get().id)


def test_a_file_that_is_not_a_model_is_refused_and_removed(
    get: Pull, hub: FakeHub, catalog: Catalog, tmp_path: Path
) -> None:
    hub.files = {"x.gguf": write_garbage(tmp_path / "x").read_bytes()}
    with pytest.raises(InvalidModelFile):
        get()
    assert (catalog.list(), partials(catalog)) == ((), [])


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_transient_faults_are_retried(get: Pull, hub: FakeHub, slept: list[float], status: int) -> None:
    hub.statuses = [(status, {"Retry-After": "7"}), (status, {})]
    get()
    assert slept == [7.0, 2.0]


@pytest.mark.parametrize(
    ("status", "error"), [(500, HubRefused), (429, HubRefused), (404, HubFileUnknown), (400, HubRefused)]
)
def test_permanent_faults_are_reported(get: Pull, hub: FakeHub, status: int, error: type[ModelError]) -> None:
    hub.statuses = [(status, {})] * 9
    with pytest.raises(error) as caught:
        get()
    assert caught.value.hint


def test_a_wait_longer_than_patience_is_reported_with_its_length(get: Pull, hub: FakeHub, slept: list[float]) -> None:
    hub.statuses = [(429, {"Retry-After": "3600"})]
    with pytest.raises(HubRefused, match="too often") as caught:
        get()
    assert ("3600 seconds" in caught.value.hint, slept) == (True, [])


def test_a_hub_that_hangs_times_out(hub: FakeHub) -> None:
    hub.silent = True
    patience = Patience(answer_s=0.1, attempts=2, sleep=lambda _: None)
    with Hub(hub.address, patience=patience) as client, pytest.raises(HubUnreachable, match="in time"):
        client.repo(REPO)


def test_no_network_is_a_clear_error() -> None:
    with Hub("http://127.0.0.1:9", patience=Patience(attempts=1)) as client, pytest.raises(HubUnreachable) as caught:
        client.repo(REPO)
    assert "docent models import" in caught.value.hint


def test_the_library_s_offline_switch_is_honoured(get: Pull, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachable, match="HF_HUB_OFFLINE"):
        get()
    assert not hub.requests


def test_odd_settings_of_the_library_print_no_warning(hub: FakeHub) -> None:
    environment = {**os.environ, "HF_HUB_ENABLE_HF_TRANSFER": "1", "HF_DEBUG": "1"}
    program = f"from models.acquisition.hub import Hub; Hub({hub.address!r}).repo({REPO!r})"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize(
    "info",
    [b"", b"[]", b"<html>", b"{}", b'{"id": 1, "sha": "main", "siblings": [7]}', b"[" * 100_000, b"0" * (9 << 20)],
)
def test_an_answer_that_is_not_a_hub_s_is_refused(get: Pull, hub: FakeHub, info: bytes) -> None:
    hub.info = info
    with pytest.raises(HubRefused):
        get()


def test_the_file_of_another_commit_is_refused(get: Pull, hub: FakeHub, catalog: Catalog) -> None:
    hub.sent_commit = "d" * 40
    with pytest.raises(HubRefused, match="contradicts"):
        get()
    assert catalog.list() == ()


def test_another_part_of_the_file_than_requested_is_refused(get: Pull, hub: FakeHub, catalog: Catalog) -> None:
    hub.cut_after, hub.wrong_range = [1 << 20], True
    with pytest.raises(HubRefused, match="another part"):
        get()
    assert catalog.list() == ()


@pytest.mark.parametrize("name", ["../../x.gguf", "/etc/x.gguf", "a/../../x.gguf", "a\\..\\x.gguf", "x\x1b[2J.gguf"])
def test_names_that_lead_elsewhere_are_never_taken(get: Pull, hub: FakeHub, catalog: Catalog, name: str) -> None:
    hub.files = {name: hub.files[NAME]}
    for wanted in ("", name):
        with pytest.raises(HubFileUnknown):
            get(wanted)
    assert not catalog.root.exists()


def test_a_file_in_a_folder_of_the_repository_gets_its_last_name(get: Pull, hub: FakeHub) -> None:
    hub.files = {f"gguf/{NAME}": hub.files[NAME]}
    assert get().id == "pump-Q4_K_M"


@pytest.mark.parametrize("size", [1 << 50, 1 << 80, -1, "big", None, 1.5])
def test_impossible_sizes_are_refused_before_anything_is_downloaded(
    get: Pull, hub: FakeHub, catalog: Catalog, size: object
) -> None:
    hub.sizes[NAME] = size
    with pytest.raises((ModelStorageFull, HubRefused)):
        get()
    assert (hub.sent, catalog.list()) == (0, ())


def test_without_room_on_the_disk_nothing_is_downloaded(
    get: Pull, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.catalog.installer.SPARE", 1 << 60)
    with pytest.raises(ModelStorageFull, match="are free"):
        get()
    assert hub.sent == 0


def test_a_disk_that_fills_up_during_a_download_keeps_the_part(hub: FakeHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000));"
        "from appliance.__main__ import main; sys.exit(main())"
    )
    environment = {**os.environ, "DOCENT_HOME": str(home), "HF_ENDPOINT": hub.address}
    command = [sys.executable, "-c", program, "models", "pull", REPO, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (1, "model_storage_full")
    assert "2.9 MiB received" in error["hint"]
    assert partials(Catalog(home / "models")) == [3_000_000]


def test_a_gated_model_is_explained_and_its_token_stays_with_the_hub(content: bytes, catalog: Catalog) -> None:
    secret = "hf_" + hashlib.sha256(b"s").hexdigest()[:20]
    with serving_hub(FakeHub({NAME: content}, token=secret)) as hub, serving_hub(FakeHub({NAME: content})) as elsewhere:
        with Hub(hub.address) as client, pytest.raises(HubRefused, match="accepted its licence") as caught:
            look_up(client, REPO)
        assert "--token-file" in caught.value.hint
        with Hub(hub.address, "hf_wrong") as client, pytest.raises(HubRefused, match="token"):
            look_up(client, REPO)
        with Hub(hub.address, secret) as client:
            wanted = look_up(client, REPO)
            hub.redirect = elsewhere.address
            pull(client, wanted, catalog)
        assert elsewhere.sent == len(content)
        assert all("authorization" not in headers for _, _, headers in elsewhere.requests)
        assert any(headers.get("authorization") == f"Bearer {secret}" for _, _, headers in hub.requests)


@pytest.mark.parametrize(
    "address", ["huggingface.co", "ftp://x", "http://a:b@x", "https://x?y", "http://[", "file:///etc"]
)
def test_invalid_addresses_are_refused(address: str) -> None:
    with pytest.raises(HubRefused):
        Hub(address)


def test_a_token_is_not_sent_unencrypted() -> None:
    with pytest.raises(HubRefused, match="unprotected") as caught:
        Hub("http://mirror.example", "hf_secret")
    assert "hf_secret" not in str(caught.value)


def test_an_endless_redirection_or_one_to_an_invalid_address_is_refused(get: Pull, hub: FakeHub) -> None:
    for where in (hub.address, "gopher://x"):
        hub.redirect = where
        with pytest.raises((HubRefused, HubUnreachable)):
            get()


def test_an_installed_model_is_not_downloaded_again(get: Pull, hub: FakeHub, content: bytes) -> None:
    first = get()
    assert (get(), hub.sent) == (first, len(content))


def test_a_damaged_model_is_repaired_by_pulling_it_again(
    get: Pull, catalog: Catalog, hub: FakeHub, content: bytes
) -> None:
    get().path.unlink()
    catalog.rescan()
    assert catalog.list() == ()
    catalog.verify(get().id)
    assert hub.sent == 2 * len(content)


def test_other_content_under_the_name_becomes_the_current_version(
    get: Pull, catalog: Catalog, hub: FakeHub, tmp_path: Path
) -> None:
    old = get(model_id="pump")
    hub.files = {NAME: write_model(tmp_path / "n.gguf", seed=3).read_bytes()}
    new = get(model_id="pump")
    assert [(one.sha256, one.current) for one in new.versions] == [(new.sha256, True), (old.sha256, False)]
    hub.files = {NAME: old.path.read_bytes()}
    sent = hub.sent
    assert (get(model_id="pump").sha256, hub.sent) == (old.sha256, sent)


def test_without_hashes_in_the_description_that_of_the_file_is_used(get: Pull, hub: FakeHub) -> None:
    hub.blobs = False
    assert get().sha256 == hub.digest(NAME)


def test_a_hub_that_states_no_hash_is_refused(get: Pull, hub: FakeHub) -> None:
    hub.blobs, hub.sha256[NAME] = False, "a" * 40
    with pytest.raises(HubRefused, match="could not be verified"):
        get()


def test_two_pulls_of_the_same_file_do_not_disturb_each_other(client: Hub, catalog: Catalog, hub: FakeHub) -> None:
    wanted = look_up(client, REPO)

    def again(done: int, total: int) -> None:
        with pytest.raises(ModelBusy, match="already"):
            pull(client, wanted, catalog)

    pull(client, wanted, catalog, again)


def test_a_part_unchanged_for_a_week_is_removed(client: Hub, catalog: Catalog) -> None:
    old, young = (catalog.root / FOLDER / f"{digit * 64}.part" for digit in "ab")
    old.parent.mkdir(parents=True)
    for path, age in ((old, 8), (young, 6)):
        path.write_bytes(b"half")
        os.utime(path, (1e9 - age * 86400,) * 2)
    pull(client, look_up(client, REPO), catalog, clock=lambda: 1e9)
    assert (old.exists(), young.exists()) == (False, True)


def test_the_hub_learns_nothing_of_this_machine(get: Pull, hub: FakeHub) -> None:
    get()
    agents = {headers["user-agent"].split(";")[0].split("/")[0] for _, _, headers in hub.requests}
    assert agents == {"docent"}
    assert {path.split("/")[1] for _, path, _ in hub.requests} <= {"api", "clinic"}


def test_a_named_revision_is_requested_and_an_invalid_one_is_not(client: Hub, hub: FakeHub) -> None:
    client.repo(REPO, "v1.0")
    assert hub.requests[-1][1].endswith("/revision/v1.0")
    with pytest.raises(HubFileUnknown):
        client.repo(REPO, "../../x")


def test_an_address_that_cannot_be_resolved_is_said_in_words() -> None:
    unresolved = httpx2.ConnectError("[Errno -2] Name or service not known")
    unresolved.__cause__ = socket.gaierror(-2, "Name or service not known")
    said = str(hub_module._unreachable("asking", "https://nowhere.invalid", unresolved))
    assert said == "asking: https://nowhere.invalid does not answer: its address cannot be resolved"
    refused = httpx2.ConnectError("[Errno 111] Connection refused")
    assert str(hub_module._unreachable("asking", "x", refused)) == "asking: x does not answer: Connection refused"


@pytest.mark.parametrize("name", ["nosuchname", "", "a/b/c", "../x"])
def test_an_invalid_name_of_a_repository_is_never_requested(client: Hub, hub: FakeHub, name: str) -> None:
    with pytest.raises(InvalidModelId, match="OWNER/NAME"):
        client.repo(name)
    assert hub.requests == []


def test_a_custom_licence_is_named(client: Hub, hub: FakeHub) -> None:
    hub.card = {"license": "other", "license_name": "qwen-research"}
    assert client.repo(REPO).licence == "qwen-research"
    hub.card = {}
    assert client.repo(REPO).licence == ""


def test_a_requested_id_must_be_valid(client: Hub) -> None:
    with pytest.raises(ModelError, match="reserved"):
        look_up(client, REPO, model_id="docent")


def test_a_request_states_its_origin(client: Hub) -> None:
    wanted: PullRequest = look_up(client, REPO)
    assert replace(wanted, model_id="x").origin.source == f"{REPO}:{NAME}"
