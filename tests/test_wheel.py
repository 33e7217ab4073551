"""The wheel is complete: what is installed from it has every file of the packages, and every module of it can be imported."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("appliance", "ingest", "models", "tui")
BUILD_SCRIPTS = {"models/builtin/make.py"}
"""Run by hand from the checkout; no part of the program."""

NEEDS_TORCH = {"models.providers.transformers"}

IMPORT = """
import importlib, sys
from pathlib import Path
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert Path(module.__file__).is_relative_to(sys.argv[1]), module.__file__
"""


def files_below(root: Path) -> set[str]:
    found = [path for package in PACKAGES for path in (root / package).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix() for path in found if path.parent.name != "__pycache__"}


def modules() -> list[str]:
    sources = sorted(path for path in files_below(ROOT) - BUILD_SCRIPTS if path.endswith(".py"))
    return [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in sources]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel was installed, without the libraries that it needs."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "installed"))
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    build = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(wheels)]
    subprocess.run([*pip, *build, str(source)], check=True, cwd=wheels)
    (wheel,) = wheels.glob("*.whl")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    subprocess.run([*pip, *install, str(wheel)], check=True, cwd=wheels)
    return target


def test_every_file_of_the_packages_is_installed(installed: Path) -> None:
    assert files_below(ROOT) - files_below(installed) == BUILD_SCRIPTS


def test_every_installed_module_can_be_imported(installed: Path) -> None:
    missing = set() if importlib.util.find_spec("torch") else NEEDS_TORCH
    wanted = [name for name in modules() if name not in missing]
    # a parser's process hides libraries from itself, so its modules are imported apart
    parser = [name for name in wanted if name.startswith("ingest.parsing.") and name.endswith("_main")]
    for names in (parser, [name for name in wanted if name not in parser]):
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r}){IMPORT}", str(installed)]
        done = subprocess.run([*command, *names], capture_output=True, text=True, cwd=installed)
        assert done.returncode == 0, done.stderr
