"""`docent tui`: starts the terminal user interface, a program of its own.

It replaces this process, so that the interface gets the terminal's signals and no parent waits for it.
"""

import os
import sys

from appliance.cli.shared.options import JsonOption, command_group, examples
from appliance.config.places import find_places
from appliance.errors import InvalidRequest

app = command_group()


@app.command(epilog=examples("docent tui", "DOCENT_SOCKET=/run/docent/docent.sock docent tui"))
def tui(json: JsonOption = False) -> None:
    """Open the terminal user interface to ask questions and watch the library."""
    if json or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        why = "it has no JSON form" if json else "stdin, stdout and stderr must be a terminal"
        hint = "run `docent tui` in a terminal; scripts use `docent ask --json` and `docent status --json`"
        raise InvalidRequest("opening the terminal user interface", why, hint)
    socket = str(find_places().socket)
    os.execv(sys.executable, [sys.executable, "-m", "tui", "--socket", socket])  # noqa: S606 our own interpreter
