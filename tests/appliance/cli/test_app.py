"""The root command: its commands, its speed, and how it reports errors."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typer.core import TyperGroup

import appliance.cli.commands
from appliance.cli.app import COMMANDS, LazyGroup, load_command
from tests.appliance.cli.conftest import Run
from tests.appliance.cli.reference import render
from tests.fake_service import FakeService, serving


def test_the_folder_of_commands_holds_exactly_the_listed_ones() -> None:
    modules = {module.name for module in pkgutil.iter_modules(appliance.cli.commands.__path__)}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_takes_json_and_has_examples(name: str) -> None:
    command = load_command(name)
    leaves = command.commands.values() if isinstance(command, TyperGroup) else [command]
    for leaf in leaves:
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert "--json" in options, leaf.name
        assert f"docent {name}" in (leaf.epilog or ""), leaf.name
        assert leaf.help, leaf.name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_names_no_types_of_python(run: Run, name: str) -> None:
    command = load_command(name)
    leaves = [leaf.name for leaf in command.commands.values()] if isinstance(command, TyperGroup) else []
    for words in [(name,), *((name, leaf) for leaf in leaves)]:
        out = run(*words, "--help").out
        assert not re.search(r"<(list|str|int|float|path|file|bool)\b|[{}]|Optional|class ", out), out


def test_help_lists_every_command(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    assert all(f"\n  {name} " in result.out for name in COMMANDS)


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_no_summary_of_a_command_is_cut(run: Run, name: str) -> None:
    shown = run(*([name] if name else []), "--help").out.partition("\nCommands:\n")[2]
    assert [line for line in shown.splitlines() if line.endswith("...")] == []


def test_the_summary_of_models_is_the_same_inside_and_outside() -> None:
    assert load_command("models").help == COMMANDS["models"]


def test_help_is_fast_and_loads_nothing_heavy() -> None:
    """At most 0.3 s of Python time; a quarter of that is usual."""
    script = (
        "import sys, time\n"
        "from appliance.__main__ import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'torch', 'onnxruntime', 'llama_cpp', 'pymupdf', 'textual', 'fastapi', 'pydantic', 'httpx2', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert time.process_time() < 0.3, time.process_time()\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr


def test_a_client_command_loads_no_engine() -> None:
    script = (
        "import sys\n"
        "for name in ('add', 'ask', 'documents', 'models', 'search', 'status', 'tui'):\n"
        "    __import__(f'appliance.cli.commands.{name}')\n"
        "heavy = {'torch', 'onnxruntime', 'llama_cpp', 'pymupdf', 'textual', 'fastapi', 'gguf', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [("frobnicate",), ("search",), ("search", "x", "-k", "0"), ("ask", "x", "--nix")])
def test_a_misuse_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Error:" in result.err
    result = run(*arguments, "--json")
    assert result.code == 2
    assert result.json["error"]["code"] == "usage"
    assert "--help`" in result.json["error"]["hint"]


def test_a_wrong_value_is_reported_in_plain_words(run: Run) -> None:
    error = "Invalid value for '--state': 'foo' is not one of 'pending', 'indexing', 'indexed', 'failed'."
    assert f"\nError: {error}\n" in run("documents", "list", "--state", "foo").err
    assert run("documents", "list", "--state", "foo", "--json").json["error"]["message"] == error
    assert "it must be at least 1" in run("search", "x", "-k", "0").err


@pytest.mark.parametrize(
    "arguments", [("config", "show"), ("config", "show", "--json"), ("--help",), ("status", "--json")]
)
def test_output_that_cannot_be_written_is_one_line_on_stderr(home: Path, arguments: tuple[str, ...]) -> None:
    root = Path(__file__).parents[3]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", *arguments], stdout=full, stderr=subprocess.PIPE, cwd=root, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"docent: writing the output: No space left on device\n")


def test_the_error_for_a_mistyped_command_suggests_the_right_one(run: Run) -> None:
    assert "Did you mean 'status'?" in run("statsu").err


def test_without_a_service_the_exit_code_is_3_with_a_hint(run: Run) -> None:
    result = run("status")
    assert (result.code, result.out) == (3, "")
    assert "the service is not running" in result.err
    assert "  → start it:" in result.err


def test_with_json_an_error_is_the_apis_object_on_stdout(run: Run) -> None:
    result = run("status", "--json")
    assert (result.code, result.err) == (3, "")
    assert result.json["error"]["code"] == "service_unreachable"
    assert result.json["error"]["hint"]


def test_a_socket_path_that_is_too_long_is_explained(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCENT_SOCKET", "/tmp/" + "x" * 120)
    result = run("status")
    assert result.code == 3
    assert "107 bytes" in result.err


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out == f"docent {appliance.__version__}\n"


def test_completion_offers_models_of_the_service_and_nothing_without_it(home: Path, service: FakeService) -> None:
    from appliance.cli.shared.options import complete_collection, complete_document
    from tests.fake_service import document

    service.put(document("contracts/lease.pdf"))
    assert complete_collection("con") == ["contracts"]
    assert complete_document("contracts/l") == ["contracts/lease.pdf"]


def test_completion_is_silent_without_a_service(home: Path) -> None:
    from appliance.cli.shared.options import complete_collection, complete_document, complete_model

    assert [complete("") for complete in (complete_collection, complete_document, complete_model)] == [[], [], []]


def test_stubs_are_replaced_by_real_commands_when_resolved() -> None:
    group = LazyGroup(name="docent")
    context = group.make_context("docent", ["status"])
    _, command, rest = group.resolve_command(context, ["status", "--json"])
    assert command.callback is not None
    assert rest == ["--json"]


def test_every_command_module_has_a_docstring() -> None:
    for name in sorted(COMMANDS):
        module = importlib.import_module(f"appliance.cli.commands.{name}")
        assert (module.__doc__ or "").startswith(f"`docent {name}`")


def test_a_reply_of_another_shape_is_an_error_and_no_traceback(run: Run, home: Path) -> None:
    class Stranger(FakeService):
        async def _status(self, _: Request) -> Response:
            return JSONResponse({"something": "else"})

    with serving(Stranger(), home / "docent.sock"):
        result = run("status")
    assert result.code == 1
    assert "the service's reply is not understood" in result.err


def test_the_commands_page_is_up_to_date() -> None:
    """To update it: `python -m tests.appliance.cli.reference > docs/commands.md`."""
    documented = Path(__file__).parents[3] / "docs" / "commands.md"
    assert documented.read_text(encoding="utf-8") == render()
