"""The root of the `docent` command: which commands there are, and what becomes of their errors.

A command's module is imported only when that command runs or asks for its help; until then a stub with its one-line
help stands for it, which keeps `docent --help` fast. Errors end here: on stderr as text, or with `--json` as the API's
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
from appliance.errors import ANY_DOCENT_ERROR, EXIT_FAILED, outcome

INTERRUPTED = 130

COMMANDS = {
    "serve": "Run the service in the foreground.",
    "add": "Put documents into the library.",
    "status": "Show how the service is doing.",
    "documents": "List, show, remove and retry documents.",
    "search": "Find passages in the documents.",
    "ask": "Ask a question; the answer cites its pages.",
    "models": "List, import, load and remove models.",
    "adapters": "List, import and remove LoRA adapters.",
    "memory": "Show the memory budget and who holds what.",
    "tui": "Open the terminal user interface.",
    "bench": "Measure how fast a model answers on this machine.",
    "doctor": "Check this machine and this installation.",
    "config": "Show and check the configuration.",
    "demo": "See it work: sample PDFs, three questions, cited answers.",
}
"""Name to one-line help; the module of each is `appliance.cli.commands.<name>`, its Typer is `app`."""


_BRACES = str.maketrans("", "", "{}")


class PlainCommand(TyperCommand):
    """A command whose help says `QUERY` where Typer's says `QUERY <str>`, and its usage `QUERY` for `{QUERY}`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, then the options."""
        for title, of_arguments in (("Arguments", True), ("Options", False)):
            parameters = [one for one in self.get_params(ctx) if isinstance(one, TyperArgument) is of_arguments]
            records = [found for one in parameters if (found := one.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(
                        [(name.partition(" <")[0] if of_arguments else name, words) for name, words in records]
                    )

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command's name in its usage line."""
        return [piece.translate(_BRACES) for piece in super().collect_usage_pieces(ctx)]


class LazyGroup(TyperGroup):
    """A group whose commands are stubs until one is resolved."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=help_line) for name, help_line in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command in place of its stub; unknown names are refused as usual."""
        name, stub, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else stub, rest


def load_command(name: str) -> Any:
    """The click command of `appliance.cli.commands.<name>`."""
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
    3 service not reachable; 4 not found; 5 refused.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given, as_json="--json" in given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()  # its reader went away
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
    message, hint = "nothing was removed: it was not confirmed", "answer y, or use --yes"
    if as_json:
        body = {"message": message, "type": "invalid_request_error", "code": "not_confirmed", "hint": hint}
        print_json({"error": body})
    else:
        typer.echo(f"docent: {message}\n  → {hint}", err=True)
    return EXIT_FAILED


def _usage_error(error: TyperException, *, as_json: bool) -> int:
    alone = type(error).__name__ == "NoArgsIsHelpError"  # whose message is the whole help
    message = "a command is missing" if alone else _in_our_words(error.format_message())
    context = getattr(error, "ctx", None)
    hint = f"`{context.command_path if context else 'docent'} --help` says what it takes"
    if as_json:
        body = {"message": message, "type": "invalid_request_error", "code": "usage", "hint": hint}
        print_json({"error": body})
    else:
        usage = f"{context.get_usage()}\n" if context else ""
        print_text(f"{usage}Error: {message}\n  → {hint}", stderr=True)
    return error.exit_code


def _in_our_words(message: str) -> str:
    """What the library for command lines says, without its own and its validator's jargon."""
    message = message.replace("Value error, ", "").replace("Input should be", "it must be")
    return clean_name(message).replace("\\n", "\n")


def _output_failed(error: OSError) -> int:
    """Stdout cannot take what was written to it: a full disk, mostly."""
    _discard_output()
    print_text(f"docent: writing the output: {error.strerror or error}", stderr=True)
    return EXIT_FAILED


def _discard_output() -> None:
    """Keep the interpreter from complaining when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
