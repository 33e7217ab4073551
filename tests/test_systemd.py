"""Checks the systemd files as data, and installs the service for real under systemd in a container.

The container needs root, systemd-nspawn, mmdebstrap, and a network the first time; without them its test is skipped.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.config.settings import Settings
from tests.gguf_builder import Shape, write_model

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "systemd" / "docent.service"
SCRIPT = ROOT / "tests" / "systemd_container.sh"
SHIPPED = [
    "install.sh",
    "systemd",
    "appliance",
    "ingest",
    "models",
    "tui",
    "docs",
    "README.md",
    "LICENSE",
    "pyproject.toml",
]
QUESTIONS = json.loads((ROOT / "appliance" / "samples" / "questions.json").read_text())


def directives() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


@pytest.mark.parametrize(
    ("why", "directive", "value"),
    [
        ("no network", "PrivateNetwork", "yes"),
        ("no network", "RestrictAddressFamilies", "AF_UNIX"),
        ("callers keep their names", "PrivateUsers", "no"),
        ("a killed model does not stop the service", "OOMPolicy", "continue"),
        ("children end with the service", "KillMode", "mixed"),
        ("it restarts by itself", "Restart", "always"),
        ("started means ready", "Type", "notify"),
        ("the budget can read /proc/meminfo", "ProcSubset", "all"),
        ("no other user can read the index", "UMask", "0077"),
    ],
)
def test_the_unit_contains_what_the_design_promises(why: str, directive: str, value: str) -> None:
    assert directives()[directive] == [value], why


def test_the_unit_allows_the_system_calls_of_the_parsers_sandbox() -> None:
    allowed = " ".join(directives()["SystemCallFilter"])
    assert "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp" in allowed
    assert "RestrictSUIDSGID" not in directives(), "a collection's folder gets the library's setgid bit"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize(("name", "exposure"), [("docent.service", 10), ("docent-egress@.service", 15)])
def test_systemd_accepts_every_directive_and_rates_the_unit_safe(tmp_path: Path, name: str, exposure: int) -> None:
    unit = tmp_path / name
    source = (ROOT / "systemd" / name).read_text()
    unit.write_text(re.sub("^ExecStart=.*", "ExecStart=/bin/true", source, flags=re.MULTILINE))
    shutil.copy(ROOT / "systemd" / "docent-egress@.socket", tmp_path)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True
    )
    assert f"{unit.name}:" not in verified.stderr
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={exposure}", str(unit)],
        capture_output=True,
        text=True,
    )
    assert security.returncode == 0, security.stdout[-300:]


def test_the_settings_file_names_existing_keys_with_their_defaults() -> None:
    text = (ROOT / "systemd" / "docent.toml").read_text()
    uncommented = re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    assert Settings.model_validate(tomllib.loads(uncommented)) == Settings()
    assert tomllib.loads(text) == {"library": {}, "models": {}, "service": {}}, "the file sets nothing by itself"


class Container:
    """A booted container; commands in it run as root by default."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"

    def run(self, *command: str, user: str | None = None) -> "subprocess.CompletedProcess[str]":
        as_user = ["runuser", "-u", user, "--", *command] if user else [*command]
        return subprocess.run([SCRIPT, "inside", self.folder, *as_user], capture_output=True, text=True)

    def do(self, *command: str, user: str | None = None) -> str:
        done = self.run(*command, user=user)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def docent(self, *arguments: str, user: str) -> Any:
        return json.loads(self.do("docent", *arguments, "--json", user=user))


def wait_for(happened: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.2)


def missing_for_a_container() -> str:
    if os.geteuid() != 0:
        return "needs root"
    absent = [tool for tool in ("systemd-nspawn", "mmdebstrap", "nsenter") if not shutil.which(tool)]
    return f"needs {', '.join(absent)}" if absent else ""


def wheels() -> Path:
    """A folder with all wheels that pip needs, so that the container needs no network; cached between runs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    key = hashlib.sha256(repr((needed, sys.version_info[:2])).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "docent-tests"
    folder = cache / f"wheels-{key}"
    if not folder.exists():
        part = cache / f"{folder.name}.{os.getpid()}"
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(part), *needed]
        made = subprocess.run(pip, capture_output=True, text=True)
        if made.returncode:
            shutil.rmtree(part, ignore_errors=True)
            pytest.skip(f"no wheels to install from: {made.stderr[-300:]}")
        part.rename(folder)
    return folder


@contextmanager
def booted(folder: Path, packages: Path) -> Iterator[Container]:
    made = subprocess.run([SCRIPT, "make", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no container could be made: {made.stderr[-300:]}")
    container = Container(folder)
    checkout = container.root / "checkout"
    checkout.mkdir()
    for name in SHIPPED:
        subprocess.run(["cp", "-R", ROOT / name, checkout], check=True)
    process = subprocess.Popen([SCRIPT, "boot", folder, packages])
    try:
        up = subprocess.run([SCRIPT, "wait", folder], capture_output=True, text=True)
        if up.returncode:
            pytest.skip(f"the container does not boot here: {up.stderr[-300:]}")
        yield container
    finally:
        subprocess.run([SCRIPT, "down", folder], check=False)
        process.wait(30)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    if reason := missing_for_a_container():
        pytest.skip(reason)
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 3 << 30
    folder = (memory if roomy else tmp_path) / f"docent-test-{os.getpid()}"
    try:
        with booted(folder, wheels()) as container:
            yield container
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.root
@pytest.mark.timeout(600)
def test_the_installed_service_serves_only_its_group_and_survives_being_killed(container: Container) -> None:
    install(container)
    container.do("useradd", "--create-home", "--groups", "docent", "nurse")
    container.do("useradd", "--create-home", "visitor")
    a_member_drops_a_document_and_gets_a_cited_answer(container)
    another_user_is_refused(container)
    it_has_no_network(container)
    a_model_answers_and_killing_it_does_not_stop_the_service(container)
    a_model_killed_for_memory_does_not_harm_the_service(container)
    a_provider_answers_only_through_its_egress_unit(container)
    an_unreadable_file_names_the_command_that_repairs_it(container)
    a_killed_service_restarts_with_all_documents(container)
    installing_again_changes_nothing(container)
    uninstalling_keeps_the_data(container)


def install(container: Container) -> str:
    packages = f"PIP_FIND_LINKS={wheels()}"
    return container.do("env", "PIP_NO_INDEX=1", packages, "/checkout/install.sh")


def a_member_drops_a_document_and_gets_a_cited_answer(container: Container) -> None:
    sample = f"/checkout/appliance/samples/{QUESTIONS[0]['document']}"
    container.do("cp", sample, "/var/lib/docent/library/", user="nurse")
    wait_for(lambda: status(container)["indexed"] == 1, "the document is indexed")
    check_answer(container)


def status(container: Container) -> dict[str, int]:
    documents: dict[str, int] = container.docent("status", user="nurse")["documents"]
    return documents


def check_answer(container: Container) -> None:
    answer = container.docent("ask", QUESTIONS[0]["question"], user="nurse")
    first = answer["citations"][0]
    assert (first["document"], first["page"]) == (QUESTIONS[0]["document"], QUESTIONS[0]["page"])


def another_user_is_refused(container: Container) -> None:
    refused = container.run("docent", "status", user="visitor")
    assert refused.returncode == 3
    assert "usermod -aG docent" in refused.stderr
    for place in ("/var/lib/docent/library", "/var/lib/docent/docent.db", "/run/docent/docent.sock"):
        assert container.run("test", "-r", place, user="visitor").returncode == 1, place
    assert container.run("test", "-r", "/var/lib/docent/docent.db", user="nurse").returncode == 1


def it_has_no_network(container: Container) -> None:
    devices = container.do("cat", f"/proc/{main_pid(container)}/net/dev")
    assert re.findall(r"^\s*(\w+):", devices, re.MULTILINE) == ["lo"]


def main_pid(container: Container) -> str:
    return container.do("systemctl", "show", "--property=MainPID", "--value", "docent")


def a_model_answers_and_killing_it_does_not_stop_the_service(container: Container) -> None:
    write_model(container.root / "root" / "tiny.gguf", shape=Shape(context=4096))
    container.do("docent", "models", "import", "/root/tiny.gguf")
    ask = ["ask", "--model", "tiny", str(QUESTIONS[0]["question"])]
    assert container.docent(*ask, user="nurse")["model"] == "tiny"
    container.do("pkill", "--signal", "KILL", "--euid", "docent", "--full", "models.worker.main")
    assert container.docent(*ask, user="nurse")["model"] == "tiny"
    assert container.do("systemctl", "show", "--property=NRestarts", "--value", "docent") == "0"
    container.do("docent", "models", "remove", "tiny")


EGRESS = "/etc/systemd/system/docent-egress@.service"
PROVIDER = """
[providers.box]
kind = "openai"
model = "m"
socket = "/run/docent-egress/box.sock"
failure_calls = 100
"""


def a_provider_answers_only_through_its_egress_unit(container: Container) -> None:
    """Uses a provider on the container's own network, which the service itself cannot reach."""
    program = (ROOT / "tests" / "openai_stand_in.py").read_text()
    (container.root / "root" / "stand_in.py").write_text(program)
    container.do("systemd-run", "--quiet", "--unit=stand-in", "/usr/bin/python3", "/root/stand_in.py", "8099")
    settings = container.root / "etc/docent/docent.toml"
    before = settings.read_text()
    settings.write_text(before + PROVIDER)
    (container.root / "etc/docent/egress-box.conf").write_text("DESTINATION=127.0.0.1:8099\n")
    container.do("systemctl", "enable", "--now", "--quiet", "docent-egress@box.socket")
    container.do("systemctl", "restart", "docent")
    ask = ["ask", "--model", "box", str(QUESTIONS[0]["question"])]
    answer = container.docent(*ask, user="nurse")
    assert (answer["model"], answer["fallback"], answer["answer"]) == ("box", None, "From far away [1].")
    assert container.run("test", "-w", "/run/docent-egress/box.sock", user="nurse").returncode == 1
    it_has_no_network(container)
    container.do("systemctl", "stop", "stand-in")
    answer = container.docent(*ask, user="nurse")
    assert (answer["model"], answer["fallback"]["from"]) == ("extractive", "box")
    container.do("systemctl", "disable", "--now", "--quiet", "docent-egress@box.socket")
    assert "no connection to" in container.docent(*ask, user="nurse")["fallback"]["reason"]
    settings.write_text(before)
    container.do("systemctl", "restart", "docent")


def a_model_killed_for_memory_does_not_harm_the_service(container: Container) -> None:
    """Loads two models of 256 MiB of KV each under a MemoryMax= for one, with a budget set far too high."""
    subprocess.run([SCRIPT, "limits", container.folder], check=True, capture_output=True)
    folder = "/etc/systemd/system/docent.service.d"
    own = container.root / folder[1:]
    own.mkdir()
    budget = "DOCENT_MODELS_MEMORY_BYTES=99999999999 DOCENT_MODELS_CONTEXT=32768"
    (own / "limit.conf").write_text(f"[Service]\nMemoryMax=640M\nMemorySwapMax=0\nEnvironment={budget}\n")
    container.do("systemctl", "daemon-reload")
    container.do("systemctl", "restart", "docent")
    shape = Shape(layers=4, width=512, feed_forward=64, heads=4, kv_heads=4, context=32_768)
    for number, name in enumerate(("one", "two")):
        write_model(container.root / "root" / f"{name}.gguf", seed=number, shape=shape)
        container.do("docent", "models", "import", f"/root/{name}.gguf")
    before = main_pid(container)
    for name in ("one", "two"):
        container.run("docent", "models", "load", name)
    deaths = [one for one in container.docent("memory", user="nurse")["decisions"] if one["kind"] in ("died", "failed")]
    assert any("SIGKILL" in one["why"] for one in deaths), "the limit was not in force"
    container.run("docent", "models", "unload", "one")
    container.run("docent", "models", "unload", "two")
    assert container.docent("ask", "--model", "one", str(QUESTIONS[0]["question"]), user="nurse")["model"] == "one"
    assert main_pid(container) == before
    for name in ("one", "two"):
        container.do("docent", "models", "remove", name)
    container.do("rm", "-r", folder)
    container.do("systemctl", "daemon-reload")
    container.do("systemctl", "restart", "docent")


def an_unreadable_file_names_the_command_that_repairs_it(container: Container) -> None:
    sample = f"/checkout/appliance/samples/{QUESTIONS[1]['document']}"
    secret = "/var/lib/docent/library/a private file.pdf"
    container.do("install", "-m", "600", "-g", "root", sample, "/root/private.pdf")
    container.do("mv", "/root/private.pdf", secret)
    wait_for(lambda: status(container)["failed"] == 1, "the file that cannot be read is reported")
    failed = container.docent("documents", "list", user="nurse")["documents"]
    hint = next(document["hint"] for document in failed if document["state"] == "failed")
    command = hint[hint.index("sudo ") :].replace("sudo ", "")
    container.do("sh", "-c", command)
    wait_for(lambda: status(container) == {"indexed": 2, "indexing": 0, "pending": 0, "failed": 0}, "it is mended")


def a_killed_service_restarts_with_all_documents(container: Container) -> None:
    before = container.docent("documents", "list", user="nurse")
    killed = main_pid(container)
    container.do("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "docent")
    wait_for(lambda: main_pid(container) not in ("0", killed), "it is started again")
    wait_for(lambda: container.run("docent", "status", user="nurse").returncode == 0, "it answers again")
    assert container.docent("documents", "list", user="nurse") == before
    check_answer(container)


def installing_again_changes_nothing(container: Container) -> None:
    before = main_pid(container)
    assert "Nothing to do" in install(container)
    assert main_pid(container) == before


def uninstalling_keeps_the_data(container: Container) -> None:
    output = container.do("/checkout/install.sh", "--uninstall")
    assert "/var/lib/docent" in output
    assert container.run("systemctl", "is-active", "docent").stdout.strip() == "inactive"
    for gone in ("/opt/docent", "/usr/local/bin/docent", "/etc/systemd/system/docent.service", EGRESS):
        assert not os.path.lexists(str(container.root) + gone), gone
    kept = container.root / "var/lib/docent"
    assert (kept / "docent.db").exists()
    assert (kept / "library" / str(QUESTIONS[0]["document"])).exists()
