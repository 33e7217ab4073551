"""Runs install.sh on a miniature checkout, whose package has no dependencies, so pip works without a network."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

BACKEND = """
import os, time, zipfile
from pathlib import Path

def build_editable(folder, config_settings=None, metadata_directory=None):
    if os.path.exists("broken"):
        raise SystemExit("this build fails")
    if os.path.exists("slow"):
        Path("slow").write_text(str(os.getpid()))
        time.sleep(600)
    info = "mini-1.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, "mini-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("mini.py", "def main():\\n    print('demonstrated')\\n")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: mini\\nVersion: 1\\nProvides-Extra: dev\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\ndocent = mini:main\\n")
        wheel.writestr(info + "RECORD", "")
    return "mini-1-py3-none-any.whl"
"""
PYPROJECT = """
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]
[project]
name = "mini"
version = "1"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(ROOT / "install.sh", folder)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(requires=""))
    (folder / "wheels").mkdir()
    (folder / "wheels" / "llama_cpp_python-0-py3-none-any.whl").touch()  # as if it had been compiled before
    return folder


@pytest.fixture
def run(checkout: Path) -> Run:
    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["./install.sh", *arguments], cwd=checkout, env=surroundings(**environment), capture_output=True, text=True
        )

    return run


def surroundings(**environment: str) -> dict[str, str]:
    return (
        os.environ
        | {"PIP_FIND_LINKS": "wheels", "PIP_NO_INDEX": "1", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
        | environment
    )


def test_the_first_run_installs_and_shows_the_demo_and_the_second_only_shows_it(run: Run) -> None:
    first = run("demo")
    started = time.monotonic()
    second = run("demo")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "Installing" in first.stdout
    assert second.stdout == "demonstrated\n"
    assert time.monotonic() - started < 5


def test_the_next_run_repairs_a_failed_setup(run: Run, checkout: Path) -> None:
    (checkout / "broken").touch()
    failed = run("demo")
    assert failed.returncode == 1
    assert "pip failed" in failed.stderr
    assert str(checkout / ".venv" / "install.log") in failed.stderr
    (checkout / "broken").unlink()
    (checkout / ".venv" / "bin" / "python").unlink()
    assert run("demo").stdout.endswith("demonstrated\n")


def test_changed_requirements_are_installed_and_extras_of_earlier_runs_stay(run: Run, checkout: Path) -> None:
    source = f"source <(sed '/^main \"/d' install.sh); VENV='{checkout}/.venv' HERE='{checkout}'; "

    def set_up(extra: str) -> str:
        return subprocess.run(
            ["bash", "-c", f"{source} set_up {extra}"],
            cwd=checkout, env=surroundings(), capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    assert "Installing" in set_up("dev")
    assert run("demo").stdout == "demonstrated\n"
    assert set_up("dev") == ""
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# a change\n")
    assert "Installing" in run("demo").stdout
    assert set_up("dev") == ""


def test_a_missing_network_is_reported_with_what_to_do(run: Run, checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text(PYPROJECT.format(requires='"nowhere-to-be-found"'))
    failed = run("demo", PIP_NO_INDEX="0", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert failed.returncode == 1
    assert "no network" in failed.stderr
    assert "run this again" in failed.stderr


def test_an_interruption_stops_every_started_process(checkout: Path) -> None:
    slow = checkout / "slow"
    slow.touch()
    script = subprocess.Popen(
        ["./install.sh", "demo"], cwd=checkout, env=surroundings(), stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: slow.read_text() != "")
    script.send_signal(signal.SIGTERM)
    output, _ = script.communicate(timeout=20)
    assert script.returncode == 130
    assert "run it again" in output
    wait_for(lambda: not is_running(int(slow.read_text())))


@pytest.mark.parametrize(
    ("tools", "missing"), [([], "python3 python3-venv g++"), (["python3"], "g++")], ids=["no Python", "no compiler"]
)
def test_missing_packages_are_named_with_the_command_that_installs_them(
    tools: list[str], missing: str, run: Run, tmp_path: Path
) -> None:
    script = tmp_path / "a checkout" / "install.sh"
    script.write_text(script.read_text().replace(" /usr/bin/python3;", ";"))
    shutil.rmtree(tmp_path / "a checkout" / "wheels")
    failed = run(
        "demo", PATH=str(bare_path(tmp_path / "bin", tools)), PIP_CACHE_DIR=str(tmp_path / "cache"), CXX="none"
    )
    assert failed.returncode == 1
    assert f"sudo apt-get install -y {missing}\n" in failed.stderr


def test_installing_the_service_needs_root_and_names_the_way_without(run: Run, tmp_path: Path) -> None:
    failed = run(PATH=str(bare_path(tmp_path / "bin", [])))
    assert failed.returncode == 1
    assert "sudo ./install.sh" in failed.stderr
    assert "./install.sh demo" in failed.stderr


def test_help_names_every_command_and_an_unknown_one_is_a_usage_error(run: Run) -> None:
    shown = run("--help")
    for command in ("demo", "test [--train]", "--uninstall"):
        assert command in shown.stdout
    refused = run("deploy")
    assert refused.returncode == 2
    assert refused.stderr.startswith("install.sh: unknown argument: deploy\n\nUsage:\n")


def bare_path(folder: Path, tools: list[str]) -> Path:
    """A folder for $PATH with only the basic tools, and an `id` that never reports root."""
    folder.mkdir()
    basics = "bash cat cut dirname env flock grep head mkdir paste read rm sed setsid sha256sum sleep sort tail tr"
    for tool in basics.split():
        (folder / tool).symlink_to(str(shutil.which(tool)))
    scripts = {"id": "echo 1000", "apt-get": "", "apt-cache": "", "python3": f'exec "{sys.executable}" "$@"'}
    for name in ["id", "apt-get", "apt-cache", *tools]:
        (folder / name).write_text(f"#!/bin/bash\n{scripts[name]}\n")
        (folder / name).chmod(0o755)
    return folder


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
