"""The root of the `docent` command: lists the commands and reports their errors.

A command's module is imported only to run it or to show its help. Until then a stub with a one-line help takes its
place, which keeps `docent --help` fast. All errors end here: as text on stderr, or with `--json` as the API's
`{"error": …}` on stdout, so that stdout is always one JSON document.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.exceptions import TyperException

from appliance import __version__
from appliance.cli.shared.output import clean_name, print_error, print_json, print_text
from appliance.config.plain_words import plain_words
from appliance.errors import ANY_DOCENT_ERROR, EXIT_FAILED, outcome

INTERRUPTED = 130

COMMANDS = {
    "serve": "Run the service in the foreground.",
    "add": "Put documents into the library.",
    "status": "Show how the service is doing.",
    "documents": "List, show, remove and retry documents.",
    "search": "Find passages in the documents.",
    "ask": "Ask a question; the answer cites its pages.",
    "models": "List, fetch, import, load and remove models.",
    "adapters": "List, import and remove LoRA adapters.",
    "memory": "Show the memory budget and what uses it.",
    "tui": "Open the terminal user interface.",
    "bench": "Measure how fast a model answers on this machine.",
    "doctor": "Check this machine and this installation.",
    "config": "Show and check the configuration.",
    "demo": "See it work: sample PDFs, three questions, cited answers.",
}
"""Name to one-line help. The command's module is `appliance.cli.commands.<name>`; its Typer is `app`."""


_BRACES = str.maketrans("", "", "{}")


class PlainCommand(TyperCommand):
    """Shows an argument as `QUERY`: not as `QUERY <str>` in the help, nor as `{QUERY}` in the usage line."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the arguments, then the options."""
        for title, of_arguments in (("Arguments", True), ("Options", False)):
            parameters = [one for one in self.get_params(ctx) if isinstance(one, TyperArgument) is of_arguments]
            records = [found for one in parameters if (found := one.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(
                        [(name.partition(" <")[0] if of_arguments else name, words) for name, words in records]
                    )

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line after the command's name."""
        return [piece.translate(_BRACES) for piece in super().collect_usage_pieces(ctx)]


class LazyGroup(TyperGroup):
    """A group whose commands are stubs until one is resolved."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=help_line) for name, help_line in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replaces the stub by the real command; refuses unknown names as click does."""
        name, stub, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else stub, rest


def load_command(name: str) -> Any:
    """Imports `appliance.cli.commands.<name>` and returns its click command."""
    app: typer.Typer = importlib.import_module(f"appliance.cli.commands.{name}").app
    for leaf in app.registered_commands:
        leaf.cls = PlainCommand
    command = typer.main.get_command(app)
    command.name = name
    return command


root = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nStart with:\n  docent demo\n  docent add report.pdf --wait\n  docent ask 'What was the revenue in 2025?'",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"docent {__version__}")
        raise typer.Exit


@root.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Docent answers questions about your documents with page-exact citations. Nothing leaves this machine.

    Every command takes --json. Exit codes: 0 done, also when nothing is found; 1 failed; 2 usage;
    3 service not reachable; 4 not found; 5 refused; 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given, as_json="--json" in given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()  # the reader closed the pipe
        return EXIT_FAILED
    except OSError as error:
        if error.filename is not None or given[:1] == ["serve"]:
            raise
        return _output_failed(error)


def _run(given: list[str], *, as_json: bool) -> int:
    try:
        return _exit_code(typer.main.get_command(root).main(given, prog_name="docent", standalone_mode=False))
    except ANY_DOCENT_ERROR as error:
        print_error(error, as_json=as_json)
        return outcome(error).exit_code
    except TyperException as error:
        return _usage_error(error, as_json=as_json)
    except typer.Abort:
        return _not_confirmed(as_json=as_json)


def _exit_code(returned: object) -> int:
    return returned if isinstance(returned, int) else 0


def _not_confirmed(*, as_json: bool) -> int:
    message, hint = "nothing was removed", "answer y, or use --yes, to remove it"
    if as_json:
        body = {"message": message, "type": "invalid_request_error", "code": "not_confirmed", "hint": hint}
        print_json({"error": body})
    else:
        typer.echo(f"docent: {message}\n  → {hint}", err=True)
    return EXIT_FAILED


def _usage_error(error: TyperException, *, as_json: bool) -> int:
    alone = type(error).__name__ == "NoArgsIsHelpError"  # its message is the whole help
    message = "a command is missing" if alone else _without_jargon(error.format_message())
    context = getattr(error, "ctx", None)
    hint = f"see `{context.command_path if context else 'docent'} --help`"
    if as_json:
        body = {"message": message, "type": "invalid_request_error", "code": "usage", "hint": hint}
        print_json({"error": body})
    else:
        usage = f"{context.get_usage()}\n" if context else ""
        print_text(f"{usage}Error: {message}\n  → {hint}", stderr=True)
    return error.exit_code


def _without_jargon(message: str) -> str:
    """Rewords the phrases of click and of pydantic."""
    return clean_name(plain_words(message)).replace("\\n", "\n")


def _output_failed(error: OSError) -> int:
    """Reports that stdout could not be written; usually the disk is full."""
    _discard_output()
    print_text(f"docent: writing the output: {error.strerror or error}", stderr=True)
    return EXIT_FAILED


def _discard_output() -> None:
    """Points stdout at /dev/null, so that the interpreter's flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
