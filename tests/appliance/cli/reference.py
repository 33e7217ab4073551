"""Renders `docs/commands.md` from the commands' help: `python -m tests.appliance.cli.reference > docs/commands.md`."""

from typing import Any

from typer.core import TyperArgument, TyperGroup

from appliance.cli.app import COMMANDS, load_command

_INTRODUCTION = """\
# The `docent` command

With `--json`, every command prints one JSON document on stdout: the API's objects, or after a failure
`{"error": {"message", "type", "code", "hint"}}`. Without it, errors go to stderr as text with a hint.

| exit code | meaning |
|---|---|
| 0 | done, also when nothing is found |
| 1 | failed |
| 2 | usage, or a faulty configuration |
| 3 | the service is not reachable |
| 4 | not found |
| 5 | refused |
| 130 | interrupted |

`docent --install-completion` installs completion for the current shell: commands, options, and, if a service answers, its
models, collections and documents. Colours are off without a terminal, or if `NO_COLOR` is set.

`docent tui` and `docent serve` print no result: with `--json`, only their errors are JSON.
"""


def render() -> str:
    """The whole page."""
    sections = [_INTRODUCTION]
    for name in COMMANDS:
        command = load_command(name)
        if isinstance(command, TyperGroup):
            sections += [_section(f"docent {name} {leaf.name}", leaf) for leaf in command.commands.values()]
        else:
            sections.append(_section(f"docent {name}", command))
    return "\n".join(sections)


def _section(title: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if isinstance(parameter, TyperArgument)]
    options = [parameter for parameter in command.params if not isinstance(parameter, TyperArgument)]
    usage = " ".join([title, *map(_argument, arguments)])
    lines = [f"## `{usage}`", "", " ".join((command.help or "").split()), ""]
    lines += [f"- `{argument.metavar}`: {argument.help}" for argument in arguments]
    lines += [f"- {_option(option)}: {option.help}" for option in options]
    lines += ["", "```", *[line.strip() for line in (command.epilog or "").splitlines()[2:]], "```", ""]
    return "\n".join(lines)


def _argument(argument: Any) -> str:
    name = argument.metavar + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    return names if option.is_flag else f"{names} `{option.metavar or option.name.upper()}`"


if __name__ == "__main__":
    print(render(), end="")
